package harness;

import com.dtolabs.rundeck.core.common.INodeEntry;
import com.dtolabs.rundeck.core.execution.Contextual;
import com.dtolabs.rundeck.core.execution.ExecutionContext;
import com.dtolabs.rundeck.core.execution.StatusResult;
import com.dtolabs.rundeck.core.execution.StepExecutionItem;
import com.dtolabs.rundeck.core.execution.workflow.NoopWorkflowExecutionListener;
import com.dtolabs.rundeck.core.execution.workflow.StepExecutionContext;
import com.dtolabs.rundeck.core.execution.workflow.WorkflowExecutionListener;
import com.dtolabs.rundeck.core.execution.workflow.steps.StepExecutor;
import com.dtolabs.rundeck.core.execution.workflow.steps.node.NodeStepExecutionItem;
import com.dtolabs.rundeck.core.execution.workflow.steps.node.NodeStepResult;
import com.dtolabs.rundeck.core.logging.LogEvent;
import com.dtolabs.rundeck.core.logging.LogLevel;
import com.dtolabs.rundeck.core.logging.LogUtil;
import com.dtolabs.rundeck.core.utils.LogBuffer;
import com.dtolabs.rundeck.core.utils.LogBufferManager;
import com.dtolabs.rundeck.core.utils.ThreadBoundLogOutputStream;
import java.io.ByteArrayOutputStream;
import java.nio.charset.Charset;
import java.util.ArrayList;
import java.util.Date;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/** Lines for a core that has the stream and leaves what becomes of a line to the server, as 4.17 does. */
final class OwnLines implements Lines {
    @Override
    public ThreadBoundLogOutputStream<LogEvent, ?> stream(
            Consumer<LogEvent> sink, LogLevel level, Contextual context, Charset charset) {
        return new ThreadBoundLogOutputStream<>(sink, charset, chosen -> new Unfinished(level, context, chosen));
    }

    @Override
    public WorkflowExecutionListener flusher(ThreadBoundLogOutputStream<LogEvent, ?> stream) {
        return new Flusher(stream);
    }

    /** The lines that the threads of an execution have begun. */
    private static final class Unfinished implements LogBufferManager<LogEvent, Line> {
        private final LogLevel level;
        private final Contextual context;
        private final Charset charset;
        private final List<Line> lines = new ArrayList<>();

        Unfinished(LogLevel level, Contextual context, Charset charset) {
            this.level = level;
            this.context = context;
            this.charset = charset;
        }

        @Override
        public synchronized Line create(Charset chosen) {
            Charset known = chosen != null ? chosen : charset;
            Line line = new Line(level, context, known != null ? known : Charset.defaultCharset());
            lines.add(line);
            return line;
        }

        @Override
        public synchronized void flush(Consumer<LogEvent> writer) {
            for (Line line : lines) {
                if (!line.isEmpty()) {
                    writer.accept(line.get());
                }
                line.clear();
            }
            lines.clear();
        }
    }

    /** One line; it has the time and the node of its first byte. */
    private static final class Line implements LogBuffer<LogEvent> {
        private final LogLevel level;
        private final Contextual source;
        private final Charset charset;
        private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        private Date time;
        private Map<String, String> context;

        Line(LogLevel level, Contextual source, Charset charset) {
            this.level = level;
            this.source = source;
            this.charset = charset;
            reset();
        }

        @Override
        public boolean isEmpty() {
            return time == null;
        }

        @Override
        public void reset() {
            bytes.reset();
            time = new Date();
            context = source.getContext();
        }

        @Override
        public void write(byte value) {
            bytes.write(value);
        }

        @Override
        public void clear() {
            bytes.reset();
            time = null;
            context = null;
        }

        @Override
        public LogEvent get() {
            return new Event(level, time, bytes.toString(charset), context);
        }
    }

    private static final class Event implements LogEvent {
        private final LogLevel level;
        private final Date time;
        private final String text;
        private final Map<String, String> context;

        Event(LogLevel level, Date time, String text, Map<String, String> context) {
            this.level = level;
            this.time = time;
            this.text = text;
            this.context = context;
        }

        @Override
        public String getEventType() {
            return LogUtil.EVENT_TYPE_LOG;
        }

        @Override
        public Date getDatetime() {
            return time;
        }

        @Override
        public LogLevel getLoglevel() {
            return level;
        }

        @Override
        public String getMessage() {
            return text;
        }

        @Override
        public Map<String, String> getMetadata() {
            return context;
        }
    }

    private static final class Flusher extends NoopWorkflowExecutionListener {
        private final ThreadBoundLogOutputStream<LogEvent, ?> stream;

        Flusher(ThreadBoundLogOutputStream<LogEvent, ?> stream) {
            this.stream = stream;
        }

        @Override
        public void beginStepExecution(StepExecutor executor, StepExecutionContext context, StepExecutionItem item) {
            stream.installManager();
        }

        @Override
        public void finishStepExecution(
                StepExecutor executor, StatusResult result, StepExecutionContext context, StepExecutionItem item) {
            stream.flushBuffers();
        }

        @Override
        public void beginExecuteNodeStep(ExecutionContext context, NodeStepExecutionItem item, INodeEntry node) {
            stream.installManager();
        }

        @Override
        public void finishExecuteNodeStep(
                NodeStepResult result, ExecutionContext context, StepExecutionItem item, INodeEntry node) {
            stream.flushBuffers();
        }
    }
}
