package harness;

import com.dtolabs.rundeck.core.execution.Contextual;
import com.dtolabs.rundeck.core.execution.workflow.WorkflowExecutionListener;
import com.dtolabs.rundeck.core.logging.LogEvent;
import com.dtolabs.rundeck.core.logging.LogLevel;
import com.dtolabs.rundeck.core.utils.ThreadBoundLogOutputStream;
import java.nio.charset.Charset;
import java.util.function.Consumer;

/** Makes one log event of each line that is written to a stream. */
interface Lines {
    ThreadBoundLogOutputStream<LogEvent, ?> stream(
            Consumer<LogEvent> sink, LogLevel level, Contextual context, Charset charset);

    /** A listener that ends unfinished lines of a stream at the end of a step. */
    WorkflowExecutionListener flusher(ThreadBoundLogOutputStream<LogEvent, ?> stream);

    /**
     * The core's own way, where it has one. Core 4.17 leaves this to the server, so the build for it has
     * {@link OwnLines} instead; only one of the two classes is compiled (see pom.xml).
     */
    static Lines ofThisCore() {
        for (String name : new String[] {"harness.CoreLines", "harness.OwnLines"}) {
            try {
                return (Lines) Class.forName(name).getDeclaredConstructor().newInstance();
            } catch (ClassNotFoundException other) {
                continue;
            } catch (ReflectiveOperationException broken) {
                throw new IllegalStateException(name, broken);
            }
        }
        throw new IllegalStateException("the build left out both ways to make lines");
    }
}
