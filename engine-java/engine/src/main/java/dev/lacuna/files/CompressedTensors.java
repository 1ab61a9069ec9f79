package dev.lacuna.files;

import static dev.lacuna.files.ModelFileException.quoted;

import dev.lacuna.files.SafetensorsPart.Entry;
import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * The quantized matrices of a {@code compressed-tensors} folder, formats int-quantized and pack-quantized. Such a matrix is several tensors: integers,
 * scales, perhaps zero points. Which matrices are quantized shows in the tensors; how, the configuration says by {@link QuantizationTargets}, and what
 * contradicts it is refused: a quantized matrix that is ignored, that no target names, or that does not fit its scheme. A dense one is what it is.
 */
final class CompressedTensors {
    private static final String METHOD = "compressed-tensors";
    private static final Set<String> FORMATS = Set.of("int-quantized", "pack-quantized", "naive-quantized", "mixed-precision", "dense");
    private static final String PACKED = ".weight_packed", SCALE = ".weight_scale", ZERO = ".weight_zero_point", SHAPE = ".weight_shape";
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final int LEAST_GROUP = 32;

    /**
     * How a group of the configuration packs weights.
     *
     * @param group values of a row that share a scale; 0: all of the row
     */
    private record Scheme(int bits, int group, boolean symmetric) {
        @Override
        public String toString() {
            return bits + " bits, " + (group == 0 ? "a scale for a row" : "a scale for " + group)
                    + (symmetric ? ", symmetric" : ", zero points");
        }
    }

    /** A quantized matrix: its tensors, and what they become. */
    private record Module(String base, Entry integers, Entry scale, @Nullable Entry zero, Scheme scheme, int rows, int cols, int groups,
            Format format) {}

    private final Path path;
    private final Map<String, Entry> entries;
    private final Map<String, Module> modules = new LinkedHashMap<>();
    private final Map<String, TensorInfo> infos = new LinkedHashMap<>();
    private final Set<String> parts = new HashSet<>();

    private CompressedTensors(Path path, Map<String, Entry> entries) {
        this.path = path;
        this.entries = entries;
    }

    /**
     * Finds the quantized matrices among a folder's tensors.
     *
     * @throws ModelFileException if the configuration names a method, a format or an option that is not read, or fits no matrix
     */
    static CompressedTensors of(Path path, JsonNode config, Map<String, Entry> entries) {
        CompressedTensors found = new CompressedTensors(path, entries);
        JsonNode quantization = config.path("quantization_config");
        if (quantization.isMissingNode() || quantization.isNull()) quantization = config.path("compression_config");
        if (!quantization.isMissingNode() && !quantization.isNull()) found.modules(found.schemes(quantization));
        return found;
    }

    private ModelFileException refuse(String key, String reason) {
        return new ModelFileException(path.resolve(Safetensors.CONFIG), "quantization_config." + key, reason);
    }

    // ---- the configuration

    private QuantizationTargets<Scheme> schemes(JsonNode quantization) {
        String method = quantization.path("quant_method").asString("");
        if (!method.equals(METHOD)) {
            throw refuse("quant_method",
                    quoted(method) + " is not supported; " + METHOD + " (int-quantized, pack-quantized) is, and GGUF's packings");
        }
        format(quantization.path("format"), "format");
        String status = quantization.path("quantization_status").asString("compressed");
        if (!status.equals("compressed")) throw refuse("quantization_status", quoted(status) + " is not supported; \"compressed\" is");
        String sparsity = quantization.path("sparsity_config").path("format").asString("dense");
        if (!sparsity.equals("dense")) throw refuse("sparsity_config.format", quoted(sparsity) + " is not supported; \"dense\" is");
        if (!quantization.path("transform_config").path("config_groups").isEmpty())
            throw refuse("transform_config", "transforms are not supported");
        QuantizationTargets<Scheme> schemes = new QuantizationTargets<>(this::refuse);
        schemes.ignore(quantization.path("ignore"), "ignore");
        quantization.path("config_groups").properties().forEach(e -> {
            String key = "config_groups." + e.getKey();
            format(e.getValue().path("format"), key + ".format");
            JsonNode weights = e.getValue().path("weights");
            if (weights.isObject()) schemes.add(e.getValue().path("targets"), key + ".targets", scheme(weights, key + ".weights."));
        });
        return schemes;
    }

    private void format(JsonNode format, String key) {
        if (format.isMissingNode() || format.isNull()) return;
        if (!FORMATS.contains(format.asString("")))
            throw refuse(key, quoted(format.asString("")) + " is not supported; int-quantized and pack-quantized are");
    }

    private Scheme scheme(JsonNode weights, String key) {
        String type = weights.path("type").asString("int");
        if (!type.equals("int")) throw refuse(key + "type", quoted(type) + " is not supported; \"int\" is");
        int bits = weights.path("num_bits").asInt(8);
        if (bits != 4 && bits != 8) throw refuse(key + "num_bits", bits + " bits are not supported; 4 and 8 are");
        String order = weights.path("actorder").asString("");
        if (!Set.of("", "weight", "static", "null").contains(order.toLowerCase(java.util.Locale.ROOT)))
            throw refuse(key + "actorder",
                    quoted(order) + " is not supported: columns out of order (g_idx); \"weight\" and \"static\" are");
        int size = weights.path("group_size").isIntegralNumber() ? weights.path("group_size").asInt(-1) : -1;
        String strategy = weights.path("strategy")
                .asString(size > 0 ? "group" : size == -1 && weights.has("group_size") ? "channel" : "tensor");
        boolean symmetric = weights.path("symmetric").asBoolean(true);
        return switch (strategy) {
            case "tensor", "channel" -> new Scheme(bits, 0, symmetric);
            case "group" -> {
                if (size <= 0 || size % LEAST_GROUP != 0)
                    throw refuse(key + "group_size", size + " is not supported; multiples of " + LEAST_GROUP + " are");
                yield new Scheme(bits, size, symmetric);
            }
            default -> throw refuse(key + "strategy", quoted(strategy) + " is not supported; tensor, channel and group are");
        };
    }

    // ---- the tensors

    private void modules(QuantizationTargets<Scheme> schemes) {
        for (Map.Entry<String, Entry> e : entries.entrySet()) {
            String name = e.getKey();
            if (name.endsWith(".weight_g_idx"))
                throw new ModelFileException(path, "tensor " + quoted(name),
                        "columns out of order (actorder \"group\", g_idx) are not supported");
            boolean packed = name.endsWith(PACKED);
            boolean bytes = name.endsWith(".weight") && e.getValue().info().type().equals("I8");
            if (!packed && !bytes) continue;
            Module module = module(name.substring(0, name.lastIndexOf('.')), e.getValue(), packed, schemes);
            modules.put(name, module);
            parts.addAll(List.of(name, module.base + SCALE, module.base + ZERO, module.base + SHAPE));
            long stored = e.getValue().info().bytes() + module.scale.info().bytes()
                    + (module.zero == null ? 0 : module.zero.info().bytes());
            infos.put(name, new TensorInfo(module.base + ".weight", new long[]{module.rows, module.cols}, module.format.name(),
                    Optional.of(module.format), e.getValue().info().offset(), stored));
        }
        for (Map.Entry<String, Entry> e : entries.entrySet()) {
            if (e.getKey().endsWith(SCALE) && !parts.contains(e.getKey()))
                throw new ModelFileException(path, "tensor " + quoted(e.getKey()), "scales a weight that is not compressed");
        }
    }

    private Module module(String base, Entry integers, boolean packed, QuantizationTargets<Scheme> schemes) {
        Cursor in = new Cursor(path, integers.data());
        in.at("tensor " + quoted(base + ".weight"));
        String type = packed ? "I32" : "I8";
        if (!integers.info().type().equals(type) || integers.rank() != 2) throw in.fail("its integers are not a matrix of " + type);
        Entry scale = entries.get(base + SCALE);
        if (scale == null || scale.info().format().isEmpty()) throw in.fail("has no " + SCALE.substring(1) + " of F32, F16 or BF16");
        Entry zero = entries.get(base + ZERO);
        int rows = in.size(integers.dim(0), "rows");
        int cols = packed ? packedColumns(base, in, rows) : in.size(integers.dim(1), "columns");
        schemes.ignored(base).ifPresent(by -> {
            throw in.fail("is quantized, and quantization_config.ignore says with " + quoted(by) + " that it is not");
        });
        Scheme scheme = schemes.of(base)
                .orElseThrow(() -> in.fail("is quantized, and no target in quantization_config.config_groups is it"));
        Integer groups = fit(in, integers, packed, scale, zero, scheme, rows, cols);
        if (groups == null) throw in.fail("does not fit its scheme in " + Safetensors.CONFIG + ": " + scheme);
        return new Module(base, integers, scale, zero, scheme, rows, cols, groups, target(in, scheme, cols));
    }

    /** Groups of a row if the tensors are what the scheme makes of such a matrix. */
    private static @Nullable Integer fit(Cursor in, Entry integers, boolean packed, Entry scale, @Nullable Entry zero, Scheme scheme,
            int rows,
            int cols) {
        if (packed && integers.dim(1) != (in.product(cols, scheme.bits) + 31) / 32) return null;
        if (!packed && scheme.bits != 8) return null;
        if (scheme.symmetric != (zero == null)) return null;
        if (scheme.group > 0 && cols % scheme.group != 0) return null;
        int groups = scheme.group == 0 ? 1 : cols / scheme.group;
        long scales = scale.info().bytes() / scale.info().format().orElseThrow().bytes();
        boolean one = scheme.group == 0 && scales == 1;
        if (!one && scales != in.product(rows, groups)) return null;
        if (zero != null) zeroPoints(in, zero, scheme, rows, groups, one);
        return groups;
    }

    private int packedColumns(String base, Cursor in, int rows) {
        Entry shape = entries.get(base + SHAPE);
        if (shape == null || shape.rank() != 1 || shape.dim(0) != 2) throw in.fail("has no " + SHAPE.substring(1) + " of two numbers");
        long[] sizes = new long[2];
        for (int i = 0; i < 2; i++) {
            sizes[i] = switch (shape.info().type()) {
                case "I64" -> shape.data().get(LONG, 8L * i);
                case "I32" -> shape.data().get(INT, 4L * i);
                default -> throw in.fail("its " + SHAPE.substring(1) + " is of " + shape.info().type() + ", not I64 or I32");
            };
        }
        if (sizes[0] != rows) throw in.fail("its " + SHAPE.substring(1) + " has " + sizes[0] + " rows, the integers " + rows);
        return in.size(sizes[1], "columns");
    }

    private static void zeroPoints(Cursor in, Entry zero, Scheme scheme, int rows, int groups, boolean one) {
        long need = one ? 1 : in.product(rows, groups);
        long bytes = switch (zero.info().type()) {
            case "I8" -> need;
            // packed along the rows
            case "I32" -> in.product(in.product((rows * (long) scheme.bits + 31) / 32, groups), 4);
            default -> throw in.fail("its zero points are of " + zero.info().type() + ", not I8 or I32");
        };
        if (zero.info().bytes() != bytes) throw in.fail("its zero points have " + zero.info().bytes() + " bytes, " + bytes + " are needed");
    }

    private static Format target(Cursor in, Scheme scheme, int cols) {
        if (scheme.bits == 8 && scheme.group == 0 && scheme.symmetric) return Format.I8_ROW;
        int span = scheme.group == 0 ? cols : scheme.group;
        for (int group : new int[]{128, 64, 32}) {
            if (span % group == 0) return scheme.bits == 4 ? Format.i4Group(group) : Format.i8Group(group);
        }
        throw in.fail("rows of " + cols + " values are not a whole number of " + LEAST_GROUP);
    }

    /** What stands for a tensor that holds a matrix's integers; null for others. The name is the one that the matrix would have unpacked. */
    @Nullable
    TensorInfo info(String name) {
        TensorInfo info = infos.get(name);
        return info != null ? info : infos.get(name + "_packed");
    }

    /** Whether a tensor belongs to a quantized matrix. */
    boolean isPart(String name) {
        return parts.contains(name);
    }

    // ---- repacking

    /** The matrix in a format of the engine. */
    Tensor tensor(String name, SegmentAllocator memory) {
        Module m = modules.get(name);
        if (m == null) m = modules.get(name + "_packed");
        if (m == null) throw new IllegalArgumentException(name + " is not quantized");
        MemorySegment to = memory.allocate(m.format.bytes(m.rows, m.cols), 64);
        float[] scales = SafetensorsPart.matrix(path, m.scale).toFloats();
        Module module = m;
        IntStream.range(0, m.rows).parallel().forEach(r -> row(module, r, scales, to));
        return new Tensor(name, m.format, m.rows, m.cols, to);
    }

    private static void row(Module m, int row, float[] scales, MemorySegment to) {
        long at = row * m.format.rowBytes(m.cols);
        byte[] q = new byte[m.cols];
        integers(m, row, q);
        if (m.format.rowHeader() > 0) {
            to.set(FLOAT, at, scales[scales.length == 1 ? 0 : row]);
            MemorySegment.copy(q, 0, to, ValueLayout.JAVA_BYTE, at + m.format.rowHeader(), m.cols);
            return;
        }
        int group = m.format.group();
        int bias = m.scheme.bits == 4 ? 8 : 0;
        byte[] block = new byte[m.format.bytes() - Float.BYTES - 1];
        for (int c = 0; c < m.cols; c += group, at += m.format.bytes()) {
            int g = scales.length == 1 ? 0 : row * m.groups + (m.scheme.group == 0 ? 0 : c / m.scheme.group);
            to.set(FLOAT, at, scales[g]);
            to.set(ValueLayout.JAVA_BYTE, at + Float.BYTES, (byte) (zero(m, row, g) + bias));
            if (bias == 0) {
                System.arraycopy(q, c, block, 0, group);
            } else {
                for (int i = 0; i < group / 2; i++) {
                    int low = c + i / 16 * 32 + i % 16;
                    block[i] = (byte) ((q[low] + bias) | ((q[low + 16] + bias) << 4));
                }
            }
            MemorySegment.copy(block, 0, to, ValueLayout.JAVA_BYTE, at + Float.BYTES + 1, block.length);
        }
    }

    /** The signed integers of a row. */
    private static void integers(Module m, int row, byte[] q) {
        MemorySegment from = m.integers.data();
        if (m.integers.info().type().equals("I8")) {
            MemorySegment.copy(from, ValueLayout.JAVA_BYTE, (long) row * m.cols, q, 0, m.cols);
            return;
        }
        long at = row * m.integers.dim(1) * Integer.BYTES;
        // words are little-endian and begin with the lowest bits, so that integers lie in the order of their bytes
        for (int i = 0; i < q.length; i++) q[i] = (byte) integer(from, at, i, m.scheme.bits);
    }

    private static int integer(MemorySegment from, long at, long i, int bits) {
        if (bits == 8) return Byte.toUnsignedInt(from.get(ValueLayout.JAVA_BYTE, at + i)) - 128;
        return (from.get(ValueLayout.JAVA_BYTE, at + i / 2) >> (i % 2 * 4) & 15) - 8;
    }

    /** The signed zero point of a group, by the place of its scale. */
    private static int zero(Module m, int row, int g) {
        if (m.zero == null) return 0;
        if (m.zero.info().type().equals("I8")) return m.zero.data().get(ValueLayout.JAVA_BYTE, g);
        // a word holds the zero points of 8 or 4 rows, of one group
        int perWord = 32 / m.scheme.bits;
        long word = ((long) (row / perWord) * m.groups + g - (long) row * m.groups) * Integer.BYTES;
        return integer(m.zero.data(), word, row % perWord, m.scheme.bits);
    }
}
