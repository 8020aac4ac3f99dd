package harness;

import com.dtolabs.rundeck.core.common.Framework;
import com.dtolabs.rundeck.core.common.INodeEntry;
import com.dtolabs.rundeck.core.data.SharedDataContextUtils;
import com.dtolabs.rundeck.core.dispatcher.ContextView;
import com.dtolabs.rundeck.core.dispatcher.DataContextUtils;
import com.dtolabs.rundeck.core.execution.ConfiguredStepExecutionItem;
import com.dtolabs.rundeck.core.execution.ExecArgList;
import com.dtolabs.rundeck.core.execution.ExecutionService;
import com.dtolabs.rundeck.core.execution.service.FileCopierException;
import com.dtolabs.rundeck.core.execution.workflow.StepExecutionContext;
import com.dtolabs.rundeck.core.execution.workflow.steps.NodeDispatchStepExecutor;
import com.dtolabs.rundeck.core.execution.workflow.steps.node.NodeStepException;
import com.dtolabs.rundeck.core.execution.workflow.steps.node.NodeStepExecutionItem;
import com.dtolabs.rundeck.core.execution.workflow.steps.node.NodeStepExecutor;
import com.dtolabs.rundeck.core.execution.workflow.steps.node.NodeStepResult;
import com.dtolabs.rundeck.core.execution.workflow.steps.node.NodeStepResultImpl;
import com.dtolabs.rundeck.core.execution.workflow.steps.node.impl.DefaultScriptFileNodeStepUtils;
import com.dtolabs.rundeck.core.plugins.ProviderRegistryService;
import com.dtolabs.rundeck.core.utils.OptsUtil;
import java.io.File;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The steps a server ships outside rundeck-core (Command, Script, Copy File), and the items that ask for them. */
final class Steps {
    private static final String COMMAND = "harness-command";
    private static final String SCRIPT = "harness-script";
    private static final String COPY = "harness-copy";

    private Steps() {}

    static void register(Framework framework) {
        // The service's own registerInstance is for one that keeps no instances.
        ProviderRegistryService<NodeStepExecutor> service =
                framework.getNodeStepExecutorService().getProviderRegistryService();
        service.registerInstance(COMMAND, Steps::command);
        service.registerInstance(SCRIPT, Steps::script);
        service.registerInstance(COPY, Steps::copy);
    }

    static NodeItem command(Map<String, Object> configuration) {
        return new NodeItem(COMMAND, configuration);
    }

    static NodeItem script(Map<String, Object> configuration) {
        return new NodeItem(SCRIPT, configuration);
    }

    static NodeItem copy(Map<String, Object> configuration) {
        return new NodeItem(COPY, configuration);
    }

    /** The Command step: words without their quotes, references replaced word by word, missing ones by nothing. */
    private static NodeStepResult command(
            StepExecutionContext context, NodeStepExecutionItem item, INodeEntry node) {
        String[] words = (String[]) SharedDataContextUtils.replaceDataReferencesInObject(
                OptsUtil.burst(NodeItem.text(item, "command")),
                ContextView.node(node.getNodename()),
                ContextView::nodeStep,
                null,
                context.getSharedDataContext(),
                false,
                true);
        boolean oldQuoting = Boolean.parseBoolean(context.getIFramework()
                .getPropertyRetriever()
                .getProperty("rundeck.feature.quoting.backwardCompatible"));
        return context.getFramework()
                .getExecutionService()
                .executeCommand(
                        context,
                        ExecArgList.fromStrings(
                                oldQuoting, DataContextUtils.stringContainsPropertyReferencePredicate, words),
                        node);
    }

    /** The Script step (inline text or a file of the server). */
    private static NodeStepResult script(StepExecutionContext context, NodeStepExecutionItem item, INodeEntry node)
            throws NodeStepException {
        String arguments = NodeItem.text(item, "arguments");
        String inline = NodeItem.text(item, "script");
        return new DefaultScriptFileNodeStepUtils()
                .executeScriptFile(
                        context,
                        node,
                        inline,
                        NodeItem.text(item, "file"),
                        null,
                        NodeItem.text(item, "extension"),
                        arguments == null ? new String[0] : OptsUtil.burst(arguments),
                        NodeItem.text(item, "invocation"),
                        NodeItem.flag(item, "quoted"),
                        context.getFramework().getExecutionService(),
                        inline != null || NodeItem.flag(item, "expandTokens"));
    }

    /** The Copy File step; what the copier says it wrote is kept in the item. */
    private static NodeStepResult copy(StepExecutionContext context, NodeStepExecutionItem item, INodeEntry node)
            throws NodeStepException {
        NodeItem copy = (NodeItem) item;
        ExecutionService service = context.getFramework().getExecutionService();
        String destination = NodeItem.text(item, "destination");
        try {
            if (copy.configuration.get("files") != null) {
                List<File> files = new ArrayList<>();
                for (Object file : (List<?>) copy.configuration.get("files")) {
                    files.add(new File(file.toString()));
                }
                File folder = new File(NodeItem.text(item, "folder"));
                copy.copied(node, service.fileCopyFiles(context, folder, files, destination, node));
            } else if (copy.configuration.get("content") != null) {
                String content = NodeItem.text(item, "content");
                copy.copied(node, service.fileCopyScriptContent(context, content, node, destination));
            } else {
                File file = new File(NodeItem.text(item, "file"));
                copy.copied(node, service.fileCopyFile(context, file, node, destination));
            }
        } catch (FileCopierException failed) {
            throw new NodeStepException(
                    failed.getMessage(), failed, failed.getFailureReason(), node.getNodename());
        }
        return new NodeStepResultImpl(node);
    }

    /** A step of the workflow that runs on each node. */
    static final class NodeItem implements NodeStepExecutionItem, ConfiguredStepExecutionItem {
        final Map<String, List<String>> copied = Collections.synchronizedMap(new LinkedHashMap<>());
        private final String type;
        private final Map<String, Object> configuration;

        NodeItem(String type, Map<String, Object> configuration) {
            this.type = type;
            this.configuration = configuration;
        }

        static String text(NodeStepExecutionItem item, String name) {
            Object value = ((NodeItem) item).configuration.get(name);
            return value == null ? null : value.toString();
        }

        static boolean flag(NodeStepExecutionItem item, String name) {
            return Boolean.TRUE.equals(((NodeItem) item).configuration.get(name));
        }

        void copied(INodeEntry node, String... paths) {
            copied.put(node.getNodename(), List.of(paths));
        }

        @Override
        public String getNodeStepType() {
            return type;
        }

        @Override
        public String getType() {
            return NodeDispatchStepExecutor.STEP_EXECUTION_TYPE;
        }

        @Override
        public String getLabel() {
            return null;
        }

        @Override
        public Map<String, Object> getStepConfiguration() {
            return configuration;
        }
    }

    /** A step of the workflow that runs once, on the server. */
    static final class WorkflowItem implements ConfiguredStepExecutionItem {
        private final String type;
        private final Map<String, Object> configuration;

        WorkflowItem(String type, Map<String, Object> configuration) {
            this.type = type;
            this.configuration = configuration;
        }

        @Override
        public String getType() {
            return type;
        }

        @Override
        public String getLabel() {
            return null;
        }

        @Override
        public Map<String, Object> getStepConfiguration() {
            return configuration;
        }
    }
}
