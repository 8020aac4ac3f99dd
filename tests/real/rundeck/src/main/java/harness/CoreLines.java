package harness;

import com.dtolabs.rundeck.core.execution.Contextual;
import com.dtolabs.rundeck.core.execution.workflow.WorkflowExecutionListener;
import com.dtolabs.rundeck.core.logging.LogEvent;
import com.dtolabs.rundeck.core.logging.LogLevel;
import com.dtolabs.rundeck.core.logging.internal.LogEventBufferManager;
import com.dtolabs.rundeck.core.logging.internal.LogFlusher;
import com.dtolabs.rundeck.core.utils.ThreadBoundLogOutputStream;
import java.nio.charset.Charset;
import java.util.function.Consumer;

/** Lines as rundeck-core 5 makes them. */
final class CoreLines implements Lines {
    @Override
    public ThreadBoundLogOutputStream<LogEvent, ?> stream(
            Consumer<LogEvent> sink, LogLevel level, Contextual context, Charset charset) {
        return new ThreadBoundLogOutputStream<>(
                sink, charset, chosen -> LogEventBufferManager.createManager(level, context, chosen));
    }

    @Override
    public WorkflowExecutionListener flusher(ThreadBoundLogOutputStream<LogEvent, ?> stream) {
        return new LogFlusher(stream);
    }
}
