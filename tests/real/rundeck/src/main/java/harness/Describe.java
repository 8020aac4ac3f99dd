package harness;

import com.dtolabs.rundeck.core.execution.service.ProviderLoaderException;
import com.dtolabs.rundeck.core.plugins.PluggableService;
import com.dtolabs.rundeck.core.plugins.PluginException;
import com.dtolabs.rundeck.core.plugins.PluginMetadata;
import com.dtolabs.rundeck.core.plugins.PluginResourceLoader;
import com.dtolabs.rundeck.core.plugins.ProviderIdent;
import com.dtolabs.rundeck.core.plugins.ScriptPluginScanner;
import com.dtolabs.rundeck.core.plugins.configuration.Describable;
import com.dtolabs.rundeck.core.plugins.configuration.Description;
import com.dtolabs.rundeck.core.plugins.configuration.Property;
import com.dtolabs.rundeck.core.plugins.configuration.PropertyResolver;
import com.dtolabs.rundeck.core.plugins.configuration.PropertyResolverFactory;
import com.dtolabs.rundeck.core.plugins.configuration.PropertyScope;
import com.dtolabs.rundeck.core.plugins.configuration.Validator;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;

/** What Rundeck knows of the plugins in libext. */
final class Describe {
    private final Server server;

    Describe(Server server) {
        this.server = server;
    }

    Map<String, Object> run() {
        List<Map<String, Object>> files = new ArrayList<>();
        for (File file : server.libext.listFiles(ScriptPluginScanner.FILENAME_FILTER)) {
            Map<String, Object> entry = new LinkedHashMap<>();
            entry.put("name", file.getName());
            entry.put("valid", ScriptPluginScanner.validatePluginFile(file));
            files.add(entry);
        }
        List<ProviderIdent> idents = new ArrayList<>(server.plugins.listProviders());
        idents.sort(Comparator.comparing(ProviderIdent::getService).thenComparing(ProviderIdent::getProviderName));
        List<Map<String, Object>> providers = new ArrayList<>();
        for (ProviderIdent ident : idents) {
            providers.add(provider(ident));
        }
        Map<String, Object> result = new LinkedHashMap<>();
        result.put("files", files);
        result.put("providers", providers);
        return result;
    }

    /** What a server refuses of a step's settings, and why, by name, when it imports a job. */
    Map<String, Object> validate(String serviceName, String name, Map<String, Object> values)
            throws ProviderLoaderException {
        Object loaded = server.plugins.loadProvider(service(serviceName), name);
        Description description = ((Describable) loaded).getDescription();
        PropertyResolver resolver = PropertyResolverFactory.createResolver(
                PropertyResolverFactory.instanceRetriever(values), null, null);
        Validator.Report report =
                Validator.validate(resolver, description, PropertyScope.Instance, PropertyScope.Project);
        Map<String, Object> result = new LinkedHashMap<>();
        result.put("errors", report.getErrors());
        return result;
    }

    /** What a server refuses of a project's settings of a provider: it looks neither at defaults nor at scopes. */
    Map<String, Object> validateProject(String serviceName, String name, Map<String, Object> values)
            throws ProviderLoaderException {
        Object loaded = server.plugins.loadProvider(service(serviceName), name);
        Properties properties = new Properties();
        properties.putAll(values);
        Map<String, Object> result = new LinkedHashMap<>();
        result.put("errors", Validator.validate(properties, ((Describable) loaded).getDescription()).getErrors());
        return result;
    }

    private Map<String, Object> provider(ProviderIdent ident) {
        Map<String, Object> entry = new LinkedHashMap<>();
        entry.put("service", ident.getService());
        entry.put("name", ident.getProviderName());
        try {
            Object loaded = server.plugins.loadProvider(service(ident.getService()), ident.getProviderName());
            describe(((Describable) loaded).getDescription(), entry);
            PluginMetadata plugin = server.plugins.getPluginMetadata(ident.getService(), ident.getProviderName());
            entry.put("plugin", metadata(plugin));
            entry.put("resources", resources(ident));
        } catch (ProviderLoaderException | PluginException | IOException | RuntimeException failed) {
            entry.put("error", failed.toString());
        }
        return entry;
    }

    private PluggableService<?> service(String name) {
        switch (name) {
            case "NodeExecutor":
                return server.framework.getNodeExecutorService();
            case "FileCopier":
                return server.framework.getFileCopierService();
            case "ResourceModelSource":
                return server.framework.getResourceModelSourceService();
            case "WorkflowNodeStep":
                return server.framework.getNodeStepExecutorService().getNodeStepPluginService();
            case "WorkflowStep":
                return server.framework.getStepExecutionService().getPluginStepExecutionService();
            case "OptionValues":
                return new OptionValues.Service(server.plugins);
            default:
                throw new IllegalArgumentException("no service " + name + " here");
        }
    }

    private static void describe(Description description, Map<String, Object> entry) {
        entry.put("title", description.getTitle());
        entry.put("description", description.getDescription());
        entry.put("metadata", description.getMetadata());
        entry.put("projectMapping", description.getPropertiesMapping());
        entry.put("frameworkMapping", description.getFwkPropertiesMapping());
        List<Map<String, Object>> properties = new ArrayList<>();
        for (Property property : description.getProperties()) {
            Map<String, Object> each = new LinkedHashMap<>();
            each.put("name", property.getName());
            each.put("type", property.getType().name());
            each.put("title", property.getTitle());
            each.put("description", property.getDescription());
            each.put("required", property.isRequired());
            each.put("default", property.getDefaultValue());
            each.put("values", property.getSelectValues());
            each.put("labels", property.getSelectLabels());
            each.put("scope", property.getScope() == null ? null : property.getScope().name());
            each.put("renderingOptions", property.getRenderingOptions());
            properties.add(each);
        }
        entry.put("properties", properties);
    }

    private static Map<String, Object> metadata(PluginMetadata plugin) {
        Map<String, Object> entry = new LinkedHashMap<>();
        entry.put("name", plugin.getPluginName());
        entry.put("description", plugin.getPluginDescription());
        entry.put("version", plugin.getPluginFileVersion());
        entry.put("rundeckPluginVersion", plugin.getPluginVersion());
        entry.put("author", plugin.getPluginAuthor());
        entry.put("url", plugin.getPluginUrl());
        entry.put("date", plugin.getPluginDate() == null ? null : plugin.getPluginDate().toInstant().toString());
        entry.put("license", plugin.getPluginLicense());
        entry.put("tags", plugin.getTags());
        entry.put("rundeckCompatibilityVersion", plugin.getRundeckCompatibilityVersion());
        entry.put("targetHostCompatibility", plugin.getTargetHostCompatibility());
        entry.put("thirdPartyDependencies", plugin.getPluginThirdPartyDependencies());
        entry.put("sourceLink", plugin.getPluginSourceLink());
        entry.put("docsLink", plugin.getPluginDocsLink());
        return entry;
    }

    /** Each resource by name: the text of messages, the size of anything else. */
    private Map<String, Object> resources(ProviderIdent ident)
            throws ProviderLoaderException, PluginException, IOException {
        PluginResourceLoader loader = server.plugins.getResourceLoader(ident.getService(), ident.getProviderName());
        Map<String, Object> found = new LinkedHashMap<>();
        List<String> names = loader == null ? null : loader.listResources();
        for (String name : names == null ? List.<String>of() : names) {
            try (InputStream in = loader.openResourceStreamFor(name)) {
                byte[] bytes = in.readAllBytes();
                boolean text = name.endsWith(".properties");
                found.put(name, text ? new String(bytes, StandardCharsets.UTF_8) : Integer.valueOf(bytes.length));
            }
        }
        return found;
    }
}
