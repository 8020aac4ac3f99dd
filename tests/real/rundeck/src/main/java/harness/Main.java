package harness;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * Runs scenarios. Each line of stdin is a JSON list of a server's folder, the file of its scenario, and the file for the
 * results; a line on stdout says that it is done. Each scenario has a server of its own, one after the other.
 */
public final class Main {
    /** Lanes that run at a time. The work of most actions is waiting. */
    private static final int AT_ONCE = 3;

    private static final ObjectMapper JSON = new ObjectMapper();

    private Main() {}

    public static void main(String[] arguments) throws Exception {
        PrintStream answers = System.out;
        System.setOut(System.err);
        BufferedReader wanted = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = wanted.readLine(); line != null; line = wanted.readLine()) {
            JsonNode files = JSON.readTree(line);
            try {
                JsonNode scenario = JSON.readTree(new File(files.get(1).asText()));
                Server server = new Server(Path.of(files.get(0).asText()), scenario);
                JSON.writeValue(new File(files.get(2).asText()), inOrder(server, scenario.path("actions")));
            } catch (Exception failed) {
                failed.printStackTrace();
            }
            // What an aborted execution left behind ends with its server.
            ProcessHandle.current().descendants().forEach(ProcessHandle::destroyForcibly);
            answers.println("done");
        }
        // Threads of aborted executions do not hold it up.
        System.exit(0);
    }

    private static List<Object> inOrder(Server server, JsonNode actions) throws Exception {
        List<Object> results = new ArrayList<>();
        for (JsonNode action : actions) {
            results.add(action.has("lanes") ? lanes(server, action.path("lanes")) : run(server, action));
        }
        return results;
    }

    private static List<Object> lanes(Server server, JsonNode lanes) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(AT_ONCE);
        try {
            List<Future<List<Object>>> started = new ArrayList<>();
            for (JsonNode lane : lanes) {
                started.add(pool.submit(() -> inOrder(server, lane)));
            }
            List<Object> results = new ArrayList<>();
            for (Future<List<Object>> each : started) {
                results.add(each.get());
            }
            return results;
        } finally {
            pool.shutdownNow();
        }
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
