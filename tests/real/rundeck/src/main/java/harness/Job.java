package harness;

import com.dtolabs.rundeck.core.common.INodeEntry;
import com.dtolabs.rundeck.core.common.INodeSet;
import com.dtolabs.rundeck.core.common.NodeSetImpl;
import com.dtolabs.rundeck.core.common.PluginControlServiceImpl;
import com.dtolabs.rundeck.core.data.BaseDataContext;
import com.dtolabs.rundeck.core.execution.ExecutionContext;
import com.dtolabs.rundeck.core.execution.ExecutionContextImpl;
import com.dtolabs.rundeck.core.execution.StepExecutionItem;
import com.dtolabs.rundeck.core.execution.WorkflowExecutionServiceThread;
import com.dtolabs.rundeck.core.execution.service.NodeExecutorResultImpl;
import com.dtolabs.rundeck.core.execution.workflow.ContextManager;
import com.dtolabs.rundeck.core.execution.workflow.LoggerWithContext;
import com.dtolabs.rundeck.core.execution.workflow.NodeRecorder;
import com.dtolabs.rundeck.core.execution.workflow.NoopWorkflowExecutionListener;
import com.dtolabs.rundeck.core.execution.workflow.StepExecutionContext;
import com.dtolabs.rundeck.core.execution.workflow.WorkflowExecutionItem;
import com.dtolabs.rundeck.core.execution.workflow.WorkflowExecutionItemImpl;
import com.dtolabs.rundeck.core.execution.workflow.WorkflowExecutionListener;
import com.dtolabs.rundeck.core.execution.workflow.WorkflowExecutionListenerImpl;
import com.dtolabs.rundeck.core.execution.workflow.WorkflowImpl;
import com.dtolabs.rundeck.core.execution.workflow.steps.StepExecutionResult;
import com.dtolabs.rundeck.core.execution.workflow.steps.node.NodeStepResult;
import com.dtolabs.rundeck.core.logging.ContextLogWriter;
import com.dtolabs.rundeck.core.logging.LogEvent;
import com.dtolabs.rundeck.core.logging.LogLevel;
import com.dtolabs.rundeck.core.utils.ThreadBoundLogOutputStream;
import com.dtolabs.rundeck.core.utils.ThreadBoundOutputStream;
import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.nio.charset.Charset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** One execution of a workflow with one step, begun, watched and aborted as a server does it. */
final class Job {
    /** Each harness has a number of its own: core names copied scripts after it, and emulated containers share /tmp. */
    private static final String EXECUTION = Long.toString(ProcessHandle.current().pid());
    private static final double ABORT_EVERY = 1.0;

    private final Server server;
    private final JsonNode action;
    private final StepExecutionItem item;
    private final Log log;
    private final int loglevel;
    private final List<Map<String, Object>> nodeResults = Collections.synchronizedList(new ArrayList<>());
    private final List<Map<String, Object>> stepResults = Collections.synchronizedList(new ArrayList<>());

    Job(Server server, JsonNode action, StepExecutionItem item) {
        this.server = server;
        this.action = action;
        this.item = item;
        LogLevel level = LogLevel.looseValueOf(action.path("loglevel").asText("INFO"), LogLevel.NORMAL);
        this.log = new Log(level);
        this.loglevel = level.ordinal();
    }

    Map<String, Object> run() throws Exception {
        String charsetName = server.property("remote.charset.default");
        Charset charset = charsetName == null ? null : Charset.forName(charsetName);
        ContextManager manager = new ContextManager();
        WorkflowExecutionListenerImpl listener = new WorkflowExecutionListenerImpl(
                new NodeRecorder(), new LoggerWithContext(new ContextLogWriter(log.writer()), manager));
        ThreadBoundLogOutputStream<LogEvent, ?> stdout =
                log.stream("stdout", LogLevel.NORMAL, manager, charset);
        ThreadBoundLogOutputStream<LogEvent, ?> stderr =
                log.stream("stderr", LogLevel.ERROR, manager, charset);
        WorkflowExecutionListener all = fanOut(
                manager, listener, log.flusher(stdout), log.flusher(stderr), new Recorder());
        WorkflowExecutionItem workflow = new WorkflowExecutionItemImpl(new WorkflowImpl(
                List.of(item),
                1,
                action.path("keepgoing").asBoolean(false),
                WorkflowExecutionItem.NODE_FIRST));
        StepExecutionContext context = context(listener, all, charsetName);
        // A thread inherits the streams of the one that makes it, when it is made.
        ThreadBoundOutputStream.bindSystemOut().installThreadStream(stdout);
        ThreadBoundOutputStream.bindSystemErr().installThreadStream(stderr);
        WorkflowExecutionServiceThread thread = new WorkflowExecutionServiceThread(
                server.framework.getWorkflowExecutionService(), workflow, context, null, null);
        Map<String, Object> result = new LinkedHashMap<>();
        try {
            double began = log.now();
            thread.start();
            watch(thread, result);
            result.put("ended", !thread.isAlive());
            result.put("seconds", log.now() - began);
        } finally {
            close(ThreadBoundOutputStream.bindSystemOut());
            close(ThreadBoundOutputStream.bindSystemErr());
        }
        result.put("success", thread.isSuccessful());
        result.put("thrown", thread.getThrowable() == null ? null : thread.getThrowable().toString());
        Thread.sleep((long) (1000 * action.path("linger").asDouble(0)));
        result.put("nodes", new ArrayList<>(nodeResults));
        result.put("steps", new ArrayList<>(stepResults));
        result.put("events", log.events());
        if (item instanceof Steps.NodeItem) {
            result.put("copied", new LinkedHashMap<>(((Steps.NodeItem) item).copied));
        }
        return result;
    }

    /** Waits for the end; where the scenario asks for it, aborts, and again each second as a server does. */
    private void watch(WorkflowExecutionServiceThread thread, Map<String, Object> result) throws InterruptedException {
        double after = action.path("interruptAfter").asDouble(-1);
        String on = action.path("interruptOn").asText("");
        boolean wanted = after >= 0 || !on.isEmpty();
        while (wanted && thread.isAlive()) {
            boolean due = after >= 0 && log.now() >= after || !on.isEmpty() && log.contains(on);
            if (due) {
                break;
            }
            thread.join(10);
        }
        if (!wanted || !thread.isAlive()) {
            thread.join();
            return;
        }
        double first = log.now();
        double patience = action.path("patience").asDouble(30);
        int aborts = 0;
        while (thread.isAlive() && log.now() - first < patience) {
            thread.abort();
            aborts++;
            thread.join((long) (1000 * ABORT_EVERY));
        }
        result.put("interruptedAt", first);
        result.put("interrupts", aborts);
        result.put("returnedAfter", log.now() - first);
    }

    private StepExecutionContext context(
            WorkflowExecutionListenerImpl listener, WorkflowExecutionListener all, String charset) {
        Map<String, Map<String, String>> data = new HashMap<>();
        data.put("option", new HashMap<>());
        data.put("globals", new HashMap<>(server.framework.getProjectGlobals(server.project)));
        data.put("job", job());
        merge(data, action.path("context"));
        Map<String, Map<String, String>> hidden = new HashMap<>();
        merge(hidden, action.path("privateContext"));
        return new ExecutionContextImpl.Builder()
                .pluginControlService(PluginControlServiceImpl.forProject(server.framework, server.project))
                .frameworkProject(server.project)
                .storageTree(server.keys)
                .user("admin")
                .nodes(targets())
                .loglevel(loglevel)
                .sharedDataContextClear()
                .dataContext(new BaseDataContext(data))
                .privateDataContext(new BaseDataContext(hidden))
                .executionListener(listener)
                .workflowExecutionListener(all)
                .charsetEncoding(charset)
                .framework(server.framework)
                .threadCount(action.path("threads").asInt(1))
                .keepgoing(action.path("keepgoing").asBoolean(false))
                .build();
    }

    /** What the context of an ad hoc execution says of it. */
    private Map<String, String> job() {
        Map<String, String> job = new HashMap<>();
        job.put("execid", EXECUTION);
        job.put("execIdForLogStore", EXECUTION);
        job.put("executionUuid", "00000000-0000-4000-8000-000000000001");
        job.put("executionType", "user");
        job.put("isRemoteFilePath", "false");
        job.put("serverUrl", "http://rundeck.example:4440/");
        job.put("url", "http://rundeck.example:4440/project/" + server.project + "/execution/show/" + EXECUTION);
        job.put("username", "admin");
        job.put("user.name", "admin");
        job.put("project", server.project);
        job.put("loglevel", action.path("loglevel").asText("INFO"));
        job.put("retryAttempt", "0");
        job.put("retryInitialExecId", "0");
        job.put("retryPrevExecId", "0");
        job.put("wasRetry", "false");
        job.put("threadcount", action.path("threads").asText("1"));
        return job;
    }

    private static void merge(Map<String, Map<String, String>> data, JsonNode added) {
        added.fields().forEachRemaining(group -> group.getValue()
                .fields()
                .forEachRemaining(entry -> data.computeIfAbsent(group.getKey(), key -> new HashMap<>())
                        .put(entry.getKey(), entry.getValue().asText())));
    }

    private INodeSet targets() {
        NodeSetImpl targets = new NodeSetImpl();
        action.path("on").forEach(name -> targets.putNode(server.node(name.asText())));
        if (targets.getNodes().isEmpty()) {
            targets.putNode(server.framework.createFrameworkNode());
        }
        return targets;
    }

    private static void close(ThreadBoundOutputStream bound) throws IOException {
        bound.removeThreadStream().close();
    }

    /** One listener that tells several, in their order. */
    private static WorkflowExecutionListener fanOut(WorkflowExecutionListener... listeners) {
        return (WorkflowExecutionListener) Proxy.newProxyInstance(
                Job.class.getClassLoader(),
                new Class<?>[] {WorkflowExecutionListener.class},
                (proxy, method, arguments) -> {
                    if (method.getDeclaringClass() == Object.class) {
                        return method.invoke(Arrays.asList(listeners), arguments);
                    }
                    for (WorkflowExecutionListener listener : listeners) {
                        try {
                            method.invoke(listener, arguments);
                        } catch (InvocationTargetException failed) {
                            throw failed.getCause();
                        }
                    }
                    return null;
                });
    }

    /** Keeps the result of each step, and of each node of a step. */
    private final class Recorder extends NoopWorkflowExecutionListener {
        @Override
        public void finishExecuteNodeStep(
                NodeStepResult result, ExecutionContext context, StepExecutionItem step, INodeEntry node) {
            Map<String, Object> entry = outcome(result);
            entry.put("node", node.getNodename());
            nodeResults.add(entry);
        }

        @Override
        public void finishWorkflowItem(int step, StepExecutionItem stepItem, StepExecutionResult result) {
            stepResults.add(outcome(result));
        }

        private Map<String, Object> outcome(StepExecutionResult result) {
            Map<String, Object> entry = new LinkedHashMap<>();
            boolean success = result != null && result.isSuccess();
            Map<String, Object> data = result == null ? null : result.getFailureData();
            Object code = data == null ? null : data.get(NodeExecutorResultImpl.FAILURE_DATA_RESULT_CODE);
            entry.put("success", success);
            entry.put("resultCode", success ? Integer.valueOf(0) : code);
            entry.put("reason", success || result == null ? null : String.valueOf(result.getFailureReason()));
            entry.put("message", success || result == null ? null : result.getFailureMessage());
            entry.put("at", log.now());
            return entry;
        }
    }
}
