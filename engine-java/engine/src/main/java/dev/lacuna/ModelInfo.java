package dev.lacuna;

import dev.lacuna.files.ModelFile;
import dev.lacuna.files.TensorInfo;
import dev.lacuna.generate.Engine;
import dev.lacuna.model.Decoder;
import dev.lacuna.model.ModelSpec;
import dev.lacuna.ops.CheckedOps;
import dev.lacuna.ops.Decision;
import dev.lacuna.text.Tokenizer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What an open model is and what runs it.
 *
 * @param path       the file
 * @param metadata   the file's keys and values
 * @param spec       its shape
 * @param features   what of the family the file has, in words
 * @param unused     keys and tensors of the file that the family does not understand
 * @param packings   tensors and bytes of each format
 * @param tokens     size of the vocabulary
 * @param weights    bytes of all tensors
 * @param placed     bytes that the kernels hold beside the file: their own order of the weights, or weights that were re-encoded
 * @param context    most tokens of a conversation
 * @param cacheBytes bytes of cache and operands
 * @param decisions  what was chosen, and why
 */
public record ModelInfo(Path path, Map<String, Object> metadata, ModelSpec spec, List<String> features, List<String> unused,
        List<Packing> packings, int tokens, long weights, long placed,
        int context,
        long cacheBytes, List<Decision> decisions) {
    /** How many tensors of a format there are, and their bytes. */
    public record Packing(String format, int tensors, long bytes) {}

    static ModelInfo of(ModelFile file, ModelSpec spec, Engine engine, CheckedOps ops, Tokenizer tokenizer) {
        Map<String, Packing> byFormat = new LinkedHashMap<>();
        long total = 0;
        for (TensorInfo t : file.tensors().values()) {
            byFormat.merge(t.type(), new Packing(t.type(), 1, t.bytes()),
                    (a, b) -> new Packing(a.format, a.tensors + b.tensors, a.bytes + b.bytes));
            total += t.bytes();
        }
        return new ModelInfo(file.path(), file.metadata(), spec, Decoder.features(file, spec), Decoder.unused(file),
                new ArrayList<>(byFormat.values()), tokenizer.size(), total, ops.placedBytes(),
                engine.options().context(),
                engine.bytes(), ops.decisions());
    }
}
