package harness;

import com.dtolabs.rundeck.core.common.INodeEntry;
import com.dtolabs.rundeck.core.common.INodeSet;
import com.dtolabs.rundeck.core.common.NodeFilter;
import com.dtolabs.rundeck.core.execution.workflow.ContextManager;
import com.dtolabs.rundeck.core.logging.LogLevel;
import com.dtolabs.rundeck.core.resources.ResourceModelSource;
import com.dtolabs.rundeck.core.utils.NodeSet;
import com.dtolabs.rundeck.core.utils.ThreadBoundOutputStream;
import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.TreeSet;

/** One refresh of a node source. */
final class NodeSource {
    private NodeSource() {}

    static Map<String, Object> run(Server server, JsonNode action) throws Exception {
        Properties configuration = new Properties();
        action.path("config")
                .fields()
                .forEachRemaining(field -> configuration.setProperty(field.getKey(), field.getValue().asText()));
        configuration.setProperty("project", server.project);
        Log log = new Log(LogLevel.DEBUG);
        // A server sends what a source writes on stderr to its own stderr; here it is kept.
        ThreadBoundOutputStream.bindSystemErr()
                .installThreadStream(log.stream("stderr", LogLevel.ERROR, new ContextManager(), null));
        Map<String, Object> result = new LinkedHashMap<>();
        try {
            ResourceModelSource source = server.framework
                    .getResourceModelSourceService()
                    .getCloseableSourceForConfiguration(
                            action.path("provider").asText(), configuration, server.appServices())
                    .getProvider();
            INodeSet found = source.getNodes();
            result.put("found", nodes(found));
            if (action.hasNonNull("filter")) {
                NodeSet filter = NodeSet.fromFilter(action.path("filter").asText());
                result.put("chosen", new TreeSet<>(NodeFilter.filterNodes(filter, found).getNodeNames()));
            }
            if (action.path("keep").asBoolean(false)) {
                server.nodes.putNodes(found);
            }
        } catch (Exception failed) {
            result.put("error", failed.toString());
        } finally {
            ThreadBoundOutputStream.bindSystemErr().removeThreadStream().close();
        }
        result.put("seconds", log.now());
        result.put("events", log.events());
        return result;
    }

    private static List<Map<String, Object>> nodes(INodeSet found) {
        List<Map<String, Object>> nodes = new ArrayList<>();
        for (INodeEntry node : found) {
            Map<String, Object> entry = new LinkedHashMap<>();
            entry.put("name", node.getNodename());
            entry.put("hostname", node.getHostname());
            entry.put("username", node.getUsername());
            entry.put("description", node.getDescription());
            entry.put("tags", new TreeSet<Object>(node.getTags()));
            entry.put("attributes", new TreeMap<>(node.getAttributes()));
            nodes.add(entry);
        }
        return nodes;
    }
}
