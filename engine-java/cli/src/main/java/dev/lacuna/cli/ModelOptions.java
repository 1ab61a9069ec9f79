package dev.lacuna.cli;

import dev.lacuna.Lacuna;
import dev.lacuna.Options;
import dev.lacuna.hub.ModelStore;
import dev.lacuna.model.ModelException;
import dev.lacuna.ops.Backends;
import dev.lacuna.ops.Input;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.KvType;
import dev.lacuna.ops.OpsOptions;
import dev.lacuna.tensor.Format;
import dev.lacuna.text.ChatTemplate;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** How a model is opened; the same for every command that runs one. */
final class ModelOptions {
    @Option(names = "--ctx", paramLabel = "N", description = "Most tokens of a conversation (default: what the model was made for, at most 8192).")
    int context;

    @Option(names = "--threads", paramLabel = "N", description = "Threads (default: one for each processor).")
    int threads;

    @Option(names = "--kv", paramLabel = "TYPE", defaultValue = "f16", description = "Packing of the cache: f32, f16 (default) or int8.")
    String kv = "f16";

    @Option(names = "--backend", paramLabel = "NAME", description = "cpu, or cuda or opencl where they are built (default: the fastest that runs here).")
    @Nullable
    String backend;

    @Option(names = "--kernels", paramLabel = "TIER", description = "native, vector, plain or reference (default: the fastest that runs here).")
    @Nullable
    String kernels;

    @Option(names = "--isa", paramLabel = "ISA", description = "Cap of the native kernels: avx2, avx512, avx512bf16 or amx (default: the best of the processor).")
    @Nullable
    String isa;

    @Option(names = "--weights", paramLabel = "FORMAT", description = "Re-encode the matrices at load: F32, F16, BF16, Q8_0, Q4_0, ...; I8_24, I4_24_64 keep two of each four, I8_BITMASK, I4_BITMASK_64 the largest 40 %% of each row, of the layers' matrices alone.")
    @Nullable
    String weights;

    @Option(names = "--activations", paramLabel = "TYPE", defaultValue = "auto", description = "Inputs of products: f32, bf16, i8 (a scale per 32), i8/64, i8/128, i8/row; two with a comma: of steps of up to 8 rows, of larger ones (default: i8, and bf16 in larger steps where the processor has AMX, the GPU fast bfloat16).")
    String activations = "auto";

    @Option(names = "--layers", paramLabel = "N", split = ",", description = "Keep only these layers, e.g. 0,2,4.")
    List<Integer> layers = new ArrayList<>();

    @Option(names = "--template", paramLabel = "NAME", description = "Chat template by name, e.g. chatml, alpaca, vicuna (default: the file's).")
    @Nullable
    String template;

    @Option(names = "--template-var", paramLabel = "NAME=JSON", description = "Tell the chat template a value, e.g. enable_thinking=false.")
    Map<String, String> variables = new LinkedHashMap<>();

    @Option(names = "--strict", description = "Fail rather than fall back to slower kernels.")
    boolean strict;

    /** Fetches the model if it is not here, and opens it. */
    Lacuna open(Console console, String model) {
        Options options = options(console);
        return open(console, model, options);
    }

    /** The same, with the least context that the command needs where the user names none. */
    Lacuna open(Console console, String model, int leastContext) {
        Options options = options(console);
        return open(console, model, context > 0 ? options : options.withContext(leastContext));
    }

    /** The same, with the weights as the file has them. */
    Lacuna openAsStored(Console console, String model, int leastContext) {
        Options options = options(console).withWeights(null);
        return open(console, model, context > 0 ? options : options.withContext(leastContext));
    }

    /** Whether the weights are re-encoded. */
    boolean reencodes() {
        return weights != null;
    }

    /** What re-encoding did to which matrices, of options that ask for it. */
    static String encoded(Options options) {
        String how = "re-encoded as " + options.weights();
        return options.tables() == null ? "layers " + how + ", embedding and output head as the file has them" : how;
    }

    private static Lacuna open(Console console, String model, Options options) {
        Lacuna opened = Lacuna.open(find(console, model), options);
        console.notice(model + ": " + tier(options) + " kernels, context " + opened.context() + ", cache and operands "
                + Size.of(opened.bytes()));
        if (options.weights() != null && options.weights().prunes()) console.notice(model + ": " + encoded(options));
        return opened;
    }

    /** Where the model is on this machine; fetched if it is not yet. */
    static Path find(Console console, String model) {
        ModelStore store = console.store().get();
        return store.pull(model, Meter.bytes(console));
    }

    /** Chat needs a template, the file's or a named one. */
    static void requireTemplate(Lacuna opened) {
        if (opened.hasTemplate()) return;
        throw new ModelException(
                opened.spec().name() + " has no chat template: name one (--template " + String.join(", ", ChatTemplate.names())
                        + "), or use 'lacuna generate' with a plain prompt");
    }

    Options options(Console console) {
        if (context < 0) throw new Exit.UsageException("--ctx must be positive, not " + context);
        int[] keep = layers.isEmpty() ? null : layers.stream().mapToInt(Integer::intValue).toArray();
        return new Options(context, 1, new OpsOptions(threads, kernels, isa, strict, backend), kvType(), policy(), format(), keep, template,
                told(),
                Meter.bytes(console));
    }

    private Map<String, Object> told() {
        Map<String, Object> values = new LinkedHashMap<>();
        variables.forEach((name, json) -> values.put(name, Json.value(json)));
        return values;
    }

    private KvType kvType() {
        return switch (kv.toLowerCase(Locale.ROOT)) {
            case "f32" -> KvType.F32;
            case "f16" -> KvType.F16;
            case "int8", "i8" -> KvType.I8;
            default -> throw new Exit.UsageException("--kv is f32, f16 or int8, not " + kv);
        };
    }

    private @Nullable InputPolicy policy() {
        if (activations.equalsIgnoreCase("auto")) return null;
        String[] both = activations.split(",", -1);
        if (both.length > 2) throw new Exit.UsageException("--activations takes one input or two, not " + activations);
        return new InputPolicy(input(both[0]), input(both[both.length - 1]));
    }

    private Input input(String name) {
        return Input.named(name).orElseThrow(() -> new Exit.UsageException(
                "--activations is f32, bf16, i8, i8/64, i8/128, i8/row or auto, not " + activations));
    }

    private @Nullable Format format() {
        if (weights == null) return null;
        return Format.named(weights).orElseThrow(() -> new Exit.UsageException("--weights knows " + Format.ALL + ", not " + weights));
    }

    /** The tier that these options run on. */
    static String tier(Options options) {
        return Backends.find().chosen(options.kernels()).name();
    }

    /** What every measured result says of the way it was computed. */
    static void describe(Map<String, Object> json, Lacuna model) {
        Options o = model.options();
        json.put("kernels", tier(o));
        json.put("threads", o.kernels().threadsOrAll());
        json.put("activations", String.valueOf(o.activations()));
        json.put("kv", o.kv() == KvType.I8 ? "int8" : o.kv().name().toLowerCase(Locale.ROOT));
        json.put("weights", o.weights() == null ? "file" : o.weights().name());
        json.put("tables", o.tables() == null ? "file" : o.tables().name());
        json.put("context", model.context());
        json.put("cacheBytes", model.bytes());
    }
}
