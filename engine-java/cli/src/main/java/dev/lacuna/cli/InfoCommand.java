package dev.lacuna.cli;

import dev.lacuna.Lacuna;
import dev.lacuna.ModelInfo;
import dev.lacuna.model.ModelSpec;
import dev.lacuna.ops.Decision;
import java.io.PrintStream;
import java.lang.reflect.Array;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Tells what a model is and what runs it. */
@Command(name = "info", description = "Tells what a model is: metadata, tensors, memory, and what runs where and why.", mixinStandardHelpOptions = true, sortOptions = false)
final class InfoCommand implements Callable<Integer> {
    private static final int SHOWN = 6;
    private static final int LONGEST = 200;

    private final Console console;

    @Parameters(paramLabel = "MODEL", description = "Name, source or path.")
    String model = "";

    @Mixin
    ModelOptions options = new ModelOptions();

    @Option(names = "--json", description = "Print one JSON object.")
    boolean json;

    InfoCommand(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() {
        try (Lacuna opened = options.open(console, model)) {
            ModelInfo info = opened.info();
            if (json) {
                Json.write(console.out(), json(opened, info));
            } else {
                print(opened, info);
            }
        }
        return Exit.OK;
    }

    private Map<String, Object> json(Lacuna opened, ModelInfo info) {
        Map<String, Object> all = new LinkedHashMap<>();
        all.put("model", model);
        all.put("path", info.path().toString());
        all.put("name", info.spec().name());
        all.put("family", info.spec().family());
        all.put("shape", shape(info));
        Map<String, Object> metadata = new LinkedHashMap<>();
        info.metadata().forEach((key, value) -> metadata.put(key, abbreviated(value)));
        all.put("features", info.features());
        all.put("unused", info.unused());
        all.put("metadata", metadata);
        all.put("tensors", info.packings());
        all.put("weightsBytes", info.weights());
        all.put("placedBytes", info.placed());
        all.put("hasTemplate", opened.hasTemplate());
        ModelOptions.describe(all, opened);
        all.put("decisions", info.decisions());
        return all;
    }

    private static Map<String, Object> shape(ModelInfo info) {
        ModelSpec spec = info.spec();
        Map<String, Object> shape = new LinkedHashMap<>();
        shape.put("layers", spec.layers().size());
        shape.put("dim", spec.dim());
        shape.put("headSize", spec.headSize());
        shape.put("heads", spec.layers().stream().map(ModelSpec.Layer::heads).toList());
        shape.put("kvHeads", spec.layers().stream().map(ModelSpec.Layer::kvHeads).toList());
        shape.put("ffn", spec.layers().stream().map(ModelSpec.Layer::ffn).toList());
        shape.put("vocabulary", spec.vocabulary());
        shape.put("contextLength", spec.contextLength());
        return shape;
    }

    /** A long array as its type, length and beginning; anything else as it is. */
    private static Object abbreviated(Object value) {
        if (!value.getClass().isArray() || Array.getLength(value) <= SHOWN) return value;
        List<Object> first = new ArrayList<>();
        for (int i = 0; i < SHOWN; i++) first.add(Array.get(value, i));
        Map<String, Object> abbreviated = new LinkedHashMap<>();
        abbreviated.put("array", value.getClass().getComponentType().getSimpleName());
        abbreviated.put("length", Array.getLength(value));
        abbreviated.put("first", first);
        return abbreviated;
    }

    private void print(Lacuna opened, ModelInfo info) {
        PrintStream out = console.out();
        ModelSpec spec = info.spec();
        out.println(info.path());
        out.println(spec.name() + ", " + spec.family() + ", " + spec.layers().size() + " layers of " + spec.dim() + ", vocabulary "
                + info.tokens()
                + ", made for " + spec.contextLength() + " tokens" + (opened.hasTemplate() ? "" : ", no chat template"));
        out.println("\nMetadata");
        info.metadata().forEach((key, value) -> out.println("  " + key + " = " + shown(value)));
        out.println("\nFeatures\n  " + String.join("\n  ", info.features()));
        if (!info.unused().isEmpty()) out.println("\nNot understood by the family\n  " + String.join("\n  ", info.unused()));
        out.println("\nTensors");
        for (ModelInfo.Packing p : info.packings()) out.printf("  %-5s %4d  %s%n", p.format(), p.tensors(), Size.of(p.bytes()));
        out.println("\nMemory");
        String where = info.placed() == 0
                ? ", mapped from the file"
                : opened.options().weights() == null ? ", in the order of the kernels" : ", " + ModelOptions.encoded(opened.options());
        out.println("  weights             " + Size.of(info.placed() == 0 ? info.weights() : info.placed()) + where);
        out.println(
                "  cache and operands  " + Size.of(info.cacheBytes()) + " for " + info.context() + " tokens in " + opened.options().kv());
        out.println("\nWhat runs where");
        for (Decision d : info.decisions()) out.println("  " + d.op() + " " + d.on() + ": " + d.kernel() + " (" + d.reason() + ")");
    }

    private static String shown(Object value) {
        String text;
        if (value.getClass().isArray()) {
            int length = Array.getLength(value);
            StringBuilder list = new StringBuilder("[" + length + "]");
            for (int i = 0; i < Math.min(SHOWN, length); i++) list.append(i == 0 ? " " : ", ").append(Array.get(value, i));
            text = list.append(length > SHOWN ? ", ..." : "").toString();
        } else {
            text = value.toString();
        }
        String line = text.replace("\n", "\\n").replaceAll("\\p{Cntrl}", "?");
        return line.length() <= LONGEST ? line : line.substring(0, LONGEST) + "... (" + line.length() + " characters)";
    }
}
