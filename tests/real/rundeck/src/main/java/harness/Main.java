package harness;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Runs the actions of a scenario in one server: {@code Main BASE SCENARIO RESULTS}. */
public final class Main {
    private static final ObjectMapper JSON = new ObjectMapper();

    private Main() {}

    public static void main(String[] arguments) throws Exception {
        JsonNode scenario = JSON.readTree(Path.of(arguments[1]).toFile());
        Server server = new Server(Path.of(arguments[0]), scenario);
        List<Map<String, Object>> results = new ArrayList<>();
        for (JsonNode action : scenario.path("actions")) {
            results.add(run(server, action));
        }
        JSON.writeValue(Path.of(arguments[2]).toFile(), results);
        // What an aborted execution left behind ends with the server, and its threads do not hold it up.
        ProcessHandle.current().descendants().forEach(ProcessHandle::destroyForcibly);
        System.exit(0);
    }

    private static Map<String, Object> run(Server server, JsonNode action) {
        try {
            switch (action.path("type").asText()) {
                case "describe":
                    return new Describe(server).run();
                case "validate":
                    return new Describe(server)
                            .validate(action.path("service").asText(), provider(action), config(action));
                case "validateproject":
                    return new Describe(server)
                            .validateProject(action.path("service").asText(), provider(action), config(action));
                case "nodes":
                    return NodeSource.run(server, action);
                case "optionvalues":
                    return OptionValues.run(server, action);
                case "command":
                    return new Job(server, action, Steps.command(values(action))).run();
                case "script":
                    return new Job(server, action, Steps.script(values(action))).run();
                case "copy":
                    return new Job(server, action, Steps.copy(values(action))).run();
                case "nodestep":
                    return new Job(server, action, new Steps.NodeItem(provider(action), config(action))).run();
                case "workflowstep":
                    return new Job(server, action, new Steps.WorkflowItem(provider(action), config(action))).run();
                default:
                    throw new IllegalArgumentException("no such action: " + action);
            }
        } catch (Exception failed) {
            StringWriter trace = new StringWriter();
            failed.printStackTrace(new PrintWriter(trace));
            Map<String, Object> fault = new LinkedHashMap<>();
            fault.put("fault", trace.toString());
            return fault;
        }
    }

    private static String provider(JsonNode action) {
        return action.path("provider").asText();
    }

    private static Map<String, Object> config(JsonNode action) {
        return values(action.path("config"));
    }

    private static Map<String, Object> values(JsonNode object) {
        return object.isMissingNode()
                ? new LinkedHashMap<>()
                : JSON.convertValue(object, new TypeReference<LinkedHashMap<String, Object>>() {});
    }
}
