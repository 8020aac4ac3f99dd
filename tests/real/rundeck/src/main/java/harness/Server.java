package harness;

import com.dtolabs.rundeck.core.common.BaseFrameworkExecutionProviders;
import com.dtolabs.rundeck.core.common.BaseFrameworkExecutionServices;
import com.dtolabs.rundeck.core.common.Framework;
import com.dtolabs.rundeck.core.common.FrameworkFactory;
import com.dtolabs.rundeck.core.common.INodeEntry;
import com.dtolabs.rundeck.core.common.NodeSetImpl;
import com.dtolabs.rundeck.core.common.ServiceSupport;
import com.dtolabs.rundeck.core.execution.ExecutionServiceImpl;
import com.dtolabs.rundeck.core.plugins.FilePluginCache;
import com.dtolabs.rundeck.core.plugins.PluginDirChangeEventListener;
import com.dtolabs.rundeck.core.plugins.PluginDirProvider;
import com.dtolabs.rundeck.core.plugins.PluginManagerService;
import com.dtolabs.rundeck.core.plugins.ProviderLoader;
import com.dtolabs.rundeck.core.plugins.ScriptPluginScanner;
import com.dtolabs.rundeck.core.storage.KeyStorageLayer;
import com.dtolabs.rundeck.core.storage.ResourceMeta;
import com.dtolabs.rundeck.core.storage.StorageConverterPluginAdapter;
import com.dtolabs.rundeck.core.storage.StorageTreeImpl;
import com.dtolabs.rundeck.core.storage.StorageUtil;
import com.dtolabs.rundeck.core.storage.keys.KeyStorageTree;
import com.dtolabs.rundeck.core.storage.keys.KeyStorageUtil;
import com.dtolabs.rundeck.core.utils.cache.FileCache;
import com.fasterxml.jackson.databind.JsonNode;
import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Map;
import java.util.Properties;
import org.rundeck.app.spi.AppService;
import org.rundeck.app.spi.Services;
import org.rundeck.storage.api.HasInputStream;
import org.rundeck.storage.api.PathUtil;
import org.rundeck.storage.api.Resource;
import org.rundeck.storage.api.StorageException;
import org.rundeck.storage.conf.TreeBuilder;
import org.rundeck.storage.data.MemoryTree;
import org.rundeck.storage.impl.DelegateTree;

/** What a Rundeck server holds between executions: framework, project, plugins, keys and nodes. */
final class Server {
    final Framework framework;
    final String project;
    final File libext;
    final PluginManagerService plugins;
    final KeyStorageTree keys;
    final NodeSetImpl nodes = new NodeSetImpl();

    Server(Path base, JsonNode scenario) throws Exception {
        project = scenario.path("project").asText("demo");
        Path projectEtc = base.resolve("projects").resolve(project).resolve("etc");
        Path cache = base.resolve("libext/cache");
        Files.createDirectories(projectEtc);
        Files.createDirectories(cache);
        Path temporary = base.resolve("var/tmp");
        Files.createDirectories(base.resolve("etc"));
        Files.createDirectories(temporary);
        libext = base.resolve("libext").toFile();

        Properties own = new Properties();
        own.setProperty("framework.server.name", "rundeck-server");
        own.setProperty("framework.server.hostname", "rundeck-server");
        own.setProperty("framework.ssh.user", "rundeck");
        own.setProperty("framework.tmp.dir", temporary.toString());
        own.setProperty("rdeck.base", base.toString());
        store(own, scenario.path("frameworkProperties"), base.resolve("etc/framework.properties"));
        Properties ofProject = new Properties();
        ofProject.setProperty("project.name", project);
        store(ofProject, scenario.path("projectProperties"), projectEtc.resolve("project.properties"));
        for (JsonNode zip : scenario.path("plugins")) {
            Path from = Path.of(zip.asText());
            Files.copy(from, libext.toPath().resolve(from.getFileName()), StandardCopyOption.REPLACE_EXISTING);
        }

        BaseFrameworkExecutionServices services = new BaseFrameworkExecutionServices();
        BaseFrameworkExecutionProviders providers = BaseFrameworkExecutionProviders.create(services);
        ExecutionServiceImpl executions = new ExecutionServiceImpl();
        executions.setExecutionProviders(providers);
        ServiceSupport support = new ServiceSupport();
        support.setExecutionServices(services);
        support.setExecutionProviders(providers);
        support.setExecutionService(executions);
        framework = FrameworkFactory.createForFilesystem(base.toString(), support);
        services.setFramework(framework);

        plugins = pluginManager(libext, cache.toFile());
        framework.setService(PluginManagerService.SERVICE_NAME, plugins);
        keys = keyStorage(scenario.path("keys"));
        Steps.register(framework);

        String yaml = scenario.path("nodes").asText("");
        if (!yaml.isBlank()) {
            byte[] bytes = yaml.getBytes(StandardCharsets.UTF_8);
            nodes.putNodes(framework.getResourceFormatParserService()
                    .getParserForFormat("resourceyaml")
                    .parseDocument(new ByteArrayInputStream(bytes)));
        }
    }

    /** The node of that name; a name no source gave is an error of the scenario. */
    INodeEntry node(String name) {
        INodeEntry node = nodes.getNode(name);
        if (node == null) {
            throw new IllegalArgumentException("no node named " + name + " in " + nodes.getNodeNames());
        }
        return node;
    }

    /** Project first, then framework: the way Rundeck reads settings that exist on both levels. */
    String property(String name) {
        String own = framework.getFrameworkProjectMgr().getFrameworkProject(project).hasProperty("project." + name)
                ? framework.getFrameworkProjectMgr().getFrameworkProject(project).getProperty("project." + name)
                : null;
        if (own != null) {
            return own;
        }
        return framework.hasProperty("framework." + name) ? framework.getProperty("framework." + name) : null;
    }

    /** Services as a node source is given them: the key storage. */
    Services appServices() {
        return new Services() {
            @Override
            public boolean hasService(Class<? extends AppService> type) {
                return type == KeyStorageTree.class;
            }

            @Override
            public <T extends AppService> T getService(Class<T> type) {
                return hasService(type) ? type.cast(keys) : null;
            }
        };
    }

    private static void store(Properties properties, JsonNode added, Path file) throws IOException {
        added.fields().forEachRemaining(field -> properties.setProperty(field.getKey(), field.getValue().asText()));
        try (OutputStream out = Files.newOutputStream(file)) {
            properties.store(out, null);
        }
    }

    private static PluginManagerService pluginManager(File libext, File cache) {
        PluginDirProvider dir = new PluginDirProvider() {
            @Override
            public File getPluginDir() {
                return libext;
            }

            @Override
            public void registerDirChangeEventListener(PluginDirChangeEventListener listener) {
                // Nothing changes in libext while a scenario runs.
            }
        };
        FileCache<ProviderLoader> files = PluginManagerService.createProviderLoaderFileCache();
        FilePluginCache known = new FilePluginCache(files);
        known.addScanner(new ScriptPluginScanner(dir, cache, files));
        return new PluginManagerService(libext, cache, known);
    }

    private static KeyStorageTree keyStorage(JsonNode keys) {
        DelegateTree<ResourceMeta> memory = new DelegateTree<>(new MemoryTree<>()) {
            @Override
            public Resource<ResourceMeta> getResource(org.rundeck.storage.api.Path path) {
                // The tree in memory throws another type than the storage of a server does.
                if (!hasResource(path)) {
                    throw StorageException.readException(path, "Path does not exist: " + path);
                }
                return super.getResource(path);
            }
        };
        KeyStorageTree tree = KeyStorageUtil.keyStorageWrapper(new StorageTreeImpl(
                TreeBuilder.<ResourceMeta>builder(memory)
                        .convert(
                                new StorageConverterPluginAdapter("builtin:ssh-storage", new KeyStorageLayer()),
                                PathUtil.asPath("/keys"))
                        .build()));
        keys.fields().forEachRemaining(field -> {
            String type = field.getValue().path("type").asText("password");
            byte[] content = field.getValue().path("content").asText().getBytes(StandardCharsets.UTF_8);
            tree.createResource(
                    PathUtil.asPath(field.getKey()),
                    StorageUtil.withStream(
                            repeatable(content),
                            Map.of(StorageUtil.RES_META_RUNDECK_CONTENT_TYPE, contentType(type))));
        });
        return tree;
    }

    /** Content that can be read again: the tree in memory keeps what it is given, where a server's reads its storage. */
    private static HasInputStream repeatable(byte[] content) {
        return new HasInputStream() {
            @Override
            public InputStream getInputStream() {
                return new ByteArrayInputStream(content);
            }

            @Override
            public long writeContent(OutputStream out) throws IOException {
                out.write(content);
                return content.length;
            }
        };
    }

    private static String contentType(String type) {
        switch (type) {
            case "password":
                return KeyStorageLayer.PASSWORD_MIME_TYPE;
            case "private":
                return KeyStorageLayer.PRIVATE_KEY_MIME_TYPE;
            case "public":
                return KeyStorageLayer.PUBLIC_KEY_MIME_TYPE;
            default:
                throw new IllegalArgumentException("a key is password, private or public, not " + type);
        }
    }
}
