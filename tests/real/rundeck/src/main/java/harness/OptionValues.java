package harness;

import com.dtolabs.rundeck.core.execution.service.ScriptOptionValues;
import com.dtolabs.rundeck.core.plugins.BasePluggableProviderService;
import com.dtolabs.rundeck.core.plugins.ScriptPluginProvider;
import com.dtolabs.rundeck.core.plugins.ScriptPluginProviderLoadable;
import com.dtolabs.rundeck.core.plugins.ServiceProviderLoader;
import com.dtolabs.rundeck.core.plugins.configuration.Describable;
import com.dtolabs.rundeck.core.plugins.configuration.PluginAdapterUtility;
import com.dtolabs.rundeck.core.plugins.configuration.PropertyResolver;
import com.dtolabs.rundeck.core.plugins.configuration.PropertyResolverFactory;
import com.dtolabs.rundeck.core.plugins.configuration.PropertyScope;
import com.dtolabs.rundeck.plugins.ServiceNameConstants;
import com.dtolabs.rundeck.plugins.option.OptionValue;
import com.dtolabs.rundeck.plugins.option.OptionValuesPlugin;
import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The values of an option, as a server reads them when somebody opens the page of a job. */
final class OptionValues {
    private OptionValues() {}

    /** The server's own OptionValueProviderService is in rundeckapp; all that it uses is in rundeck-core. */
    static final class Service extends BasePluggableProviderService<OptionValuesPlugin>
            implements ScriptPluginProviderLoadable<OptionValuesPlugin> {
        private final ServiceProviderLoader plugins;

        Service(ServiceProviderLoader plugins) {
            super(ServiceNameConstants.OptionValues, OptionValuesPlugin.class);
            this.plugins = plugins;
        }

        @Override
        public ServiceProviderLoader getPluginManager() {
            return plugins;
        }

        @Override
        public OptionValuesPlugin createScriptProviderInstance(ScriptPluginProvider provider) {
            return new ScriptOptionValues(provider, plugins);
        }
    }

    static Map<String, Object> run(Server server, JsonNode action) throws Exception {
        String provider = action.path("provider").asText();
        OptionValuesPlugin plugin = server.plugins.loadProvider(new Service(server.plugins), provider);
        PropertyResolver resolver = PropertyResolverFactory.createFrameworkProjectRuntimeResolver(
                server.framework, server.project, null, ServiceNameConstants.OptionValues, provider);
        Map<String, Object> configuration = PluginAdapterUtility.mapDescribedProperties(
                resolver, ((Describable) plugin).getDescription(), PropertyScope.Instance);
        List<Map<String, Object>> values = new ArrayList<>();
        for (OptionValue value : plugin.getOptionValues(configuration)) {
            Map<String, Object> entry = new LinkedHashMap<>();
            entry.put("name", value.getName());
            entry.put("value", value.getValue());
            values.add(entry);
        }
        Map<String, Object> result = new LinkedHashMap<>();
        result.put("values", values);
        return result;
    }
}
