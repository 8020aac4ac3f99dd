package harness;

import com.dtolabs.rundeck.core.execution.Contextual;
import com.dtolabs.rundeck.core.execution.workflow.WorkflowExecutionListener;
import com.dtolabs.rundeck.core.logging.LogEvent;
import com.dtolabs.rundeck.core.logging.LogLevel;
import com.dtolabs.rundeck.core.logging.LogUtil;
import com.dtolabs.rundeck.core.logging.StreamingLogWriter;
import com.dtolabs.rundeck.core.utils.ThreadBoundLogOutputStream;
import java.nio.charset.Charset;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The log of one execution: what passes its level, in the order of arrival. */
final class Log {
    private final Lines lines = Lines.ofThisCore();
    private final LogLevel threshold;
    private final long began = System.nanoTime();
    private final List<Map<String, Object>> events = new ArrayList<>();

    Log(LogLevel threshold) {
        this.threshold = threshold;
    }

    /** Seconds since this log was opened. */
    double now() {
        return (System.nanoTime() - began) / 1e9;
    }

    synchronized void add(String source, LogEvent event) {
        // State changes of the workflow travel the same way; a log viewer does not show them.
        if (!LogUtil.EVENT_TYPE_LOG.equals(event.getEventType())) {
            return;
        }
        if (event.getLoglevel().compareTo(threshold) > 0) {
            return;
        }
        Map<String, String> where = event.getMetadata();
        Map<String, Object> entry = new LinkedHashMap<>();
        entry.put("level", event.getLoglevel().name());
        entry.put("source", source);
        entry.put("text", event.getMessage());
        entry.put("node", where == null ? null : where.get("node"));
        entry.put("at", now());
        events.add(entry);
    }

    synchronized boolean contains(String text) {
        return events.stream().anyMatch(event -> String.valueOf(event.get("text")).contains(text));
    }

    synchronized List<Map<String, Object>> events() {
        return new ArrayList<>(events);
    }

    /** A stream for System.out or System.err of the execution's threads: one event a line. */
    ThreadBoundLogOutputStream<LogEvent, ?> stream(
            String source, LogLevel level, Contextual context, Charset charset) {
        return lines.stream(event -> add(source, event), level, context, charset);
    }

    /** A listener that ends unfinished lines of such a stream at the end of a step. */
    WorkflowExecutionListener flusher(ThreadBoundLogOutputStream<LogEvent, ?> stream) {
        return lines.flusher(stream);
    }

    /** A writer for what Rundeck itself logs. */
    StreamingLogWriter writer() {
        return new StreamingLogWriter() {
            @Override
            public void openStream() {}

            @Override
            public void addEvent(LogEvent event) {
                add("rundeck", event);
            }

            @Override
            public void close() {}
        };
    }
}
