package dev.lacuna;

import dev.lacuna.files.ModelFile;
import dev.lacuna.generate.Engine;
import dev.lacuna.generate.EngineOptions;
import dev.lacuna.generate.EngineStats;
import dev.lacuna.generate.Generation;
import dev.lacuna.generate.Sampling;
import dev.lacuna.hub.Catalogue;
import dev.lacuna.hub.ModelStore;
import dev.lacuna.model.Decoder;
import dev.lacuna.model.ModelSpec;
import dev.lacuna.ops.Backends;
import dev.lacuna.ops.CheckedOps;
import dev.lacuna.ops.InputPolicy;
import dev.lacuna.ops.KvSpec;
import dev.lacuna.ops.Limits;
import dev.lacuna.text.ChatTemplate;
import dev.lacuna.text.Message;
import dev.lacuna.text.ThinkingSplitter;
import dev.lacuna.text.Tokenizer;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/**
 * An open model. Any number of threads may chat and generate at once: their steps are batched. Close it when done; generations that still run are
 * cancelled.
 *
 * <pre>{@code
 * try (Lacuna model = Lacuna.open(Lacuna.DEFAULT_MODEL); Chat chat = model.chat()) {
 *     for (String piece : chat.send("Why is the sky blue?")) System.out.print(piece);
 * }
 * }</pre>
 */
public final class Lacuna implements AutoCloseable {
    /** The catalogue's name of the model that demonstrates the engine: SmolLM2-135M-Instruct Q4_1, about 100 MB. */
    public static final String DEFAULT_MODEL = Catalogue.DEFAULT;

    private static final int BATCH_ROWS = 256;
    private static final int BATCH_SEQS = 16;

    private final ModelFile file;
    private final ModelSpec spec;
    private final Options options;
    private final Tokenizer tokenizer;
    private final @Nullable ChatTemplate template;
    private final CheckedOps ops;
    private final Arena encoded;
    private final Decoder decoder;
    private final Engine engine;
    private boolean closed;

    /** Opens a model with the default options; see {@link #open(String, Options)}. */
    public static Lacuna open(String model) {
        return open(model, Options.DEFAULT);
    }

    /**
     * Opens a model: a name of the catalogue, a source ({@code hf:owner/repo:QUANT}, {@code pypi:...}, {@code https://...}), or a path. What is not on
     * this machine is fetched first.
     *
     * @throws dev.lacuna.hub.SourceException             if the text can mean no model
     * @throws dev.lacuna.hub.ModelNotAvailableException  if it cannot be fetched
     * @throws dev.lacuna.files.ModelFileException        if the file is malformed
     * @throws dev.lacuna.model.ModelException            if its architecture is not supported
     * @throws dev.lacuna.ops.UnsupportedKernelException  if the kernels asked for cannot run it
     * @throws MemoryException                            if the cache does not fit
     */
    public static Lacuna open(String model, Options options) {
        return open(ModelStore.open().pull(model, options.progress()), options);
    }

    /** Opens a GGUF file or a Hugging Face folder. */
    public static Lacuna open(Path path, Options options) {
        ModelFile file = ModelFile.open(path);
        try {
            return new Lacuna(file, options);
        } catch (Throwable t) {
            file.close();
            throw t;
        }
    }

    @SuppressWarnings("MustBeClosedChecker") // the arena is closed with the model
    private Lacuna(ModelFile file, Options options) {
        this.file = file;
        ModelSpec whole = Decoder.spec(file);
        spec = options.layers() == null ? whole : whole.withLayers(options.layers());
        tokenizer = FileText.tokenizer(file, spec.vocabulary());
        template = template(file, options);
        int context = options.context() > 0 ? options.context() : Math.min(spec.contextLength(), Options.DEFAULT_CONTEXT);
        EngineOptions sizes = new EngineOptions(context, options.sessions(), options.kv(), BATCH_ROWS, BATCH_SEQS);
        ops = Backends.find().open(options.kernels());
        encoded = Arena.ofShared();
        try {
            InputPolicy inputs = options.activations() == null ? ops.inputs() : options.activations();
            this.options = options.withActivations(inputs);
            requireMemory(sizes);
            decoder = Decoder.place(file, spec, ops, context, inputs, Encoding.of(options.tables(), options, file, spec, encoded),
                    Encoding.of(options.weights(), options, file, spec, encoded));
            engine = new Engine(decoder, tokenizer, sizes);
        } catch (Throwable t) {
            ops.close();
            encoded.close();
            throw t;
        }
    }

    /**
     * The tokenizer of a GGUF file or a folder, without opening the model.
     *
     * @throws dev.lacuna.model.ModelException if a folder has none
     */
    public static Tokenizer tokenizer(ModelFile file) {
        return FileText.tokenizer(file);
    }

    private static @Nullable ChatTemplate template(ModelFile file, Options options) {
        if (options.template() != null) return ChatTemplate.named(options.template());
        return FileText.template(file).orElse(null);
    }

    private void requireMemory(EngineOptions sizes) {
        long need = Math.multiplyExact(spec.kv(options.kv()).blockBytes(), (long) sizes.blocks());
        OptionalLong device = ops.available();
        if (device.isPresent()) {
            long weights = Decoder.weightBytes(file, spec, options.tables(), options.weights());
            long operands = operandBytes(sizes);
            if (Math.addExact(Math.addExact(need, weights), operands) > device.getAsLong()) {
                throw MemoryException.ofDevice(weights, need, operands, device.getAsLong(), sizes);
            }
            return;
        }
        OptionalLong available = MemoryException.available();
        if (available.isPresent() && need > available.getAsLong()) throw new MemoryException(need, available.getAsLong(), sizes);
    }

    /** About what the operands of a step take: activations of the largest layer, logits, rotation tables. */
    private long operandBytes(EngineOptions sizes) {
        long widest = 0;
        for (ModelSpec.Layer l : spec.layers()) {
            widest = Math.max(widest, 3L * l.ffn() + (long) spec.headSize() * (3L * l.kvOf().length + 2L * l.kvHeads()));
        }
        long values = sizes.batchRows() * (widest + 4L * spec.dim()) + (long) sizes.batchSeqs() * spec.vocabulary()
                + 2L * sizes.context() * spec.headSize();
        return Math.multiplyExact(values, (long) Float.BYTES);
    }

    public ModelSpec spec() {
        return spec;
    }

    /** As they were asked for, with the inputs that were chosen where none were. */
    public Options options() {
        return options;
    }

    public Tokenizer tokenizer() {
        return tokenizer;
    }

    /** Most tokens of a conversation. */
    public int context() {
        return engine.options().context();
    }

    /** Bytes of cache and operands. */
    public long bytes() {
        return engine.bytes();
    }

    /** Whether there is a chat template, the file's or a named one. */
    public boolean hasTemplate() {
        return template != null;
    }

    /** What is in the file, what runs it, and why. */
    public ModelInfo info() {
        return ModelInfo.of(file, spec, engine, ops, tokenizer);
    }

    // ---- prompts

    /** Ids of a text as it is: special tokens in it are parsed, and the beginning-of-sequence token is put in front where the model wants one. */
    public int[] encode(String text) {
        return withBos(tokenizer.encode(text, true));
    }

    private int[] withBos(int[] ids) {
        if (!tokenizer.addBos() || (ids.length > 0 && ids[0] == tokenizer.bos())) return ids;
        int[] with = new int[ids.length + 1];
        with[0] = tokenizer.bos();
        System.arraycopy(ids, 0, with, 1, ids.length);
        return with;
    }

    /**
     * The prompt of a conversation, by the model's template.
     *
     * @throws IllegalStateException               if there is no template
     * @throws dev.lacuna.text.TemplateException   if the template refuses the messages
     */
    public String render(List<Message> messages) {
        if (template == null) {
            throw new IllegalStateException(
                    spec.name()
                            + " has no chat template; name one (--template chatml, alpaca, vicuna, ...) or generate from a plain prompt");
        }
        Map<String, Object> variables = new HashMap<>(options.variables());
        variables.put("bos_token", tokenizer.bos() < 0 ? "" : tokenizer.piece(tokenizer.bos()));
        variables.put("eos_token", FileText.eos(file, tokenizer));
        return template.render(messages, true, variables);
    }

    /** A splitter of thinking and answer for what follows these messages, by the markers of the model's template. */
    public ThinkingSplitter splitter(List<Message> messages) {
        return ThinkingSplitter.of(template == null ? "" : template.source(), template == null ? "" : render(messages));
    }

    /** Ids of a conversation; special tokens that a message spells out stay text, so that nobody can write another's turn. */
    public int[] encode(List<Message> messages) {
        return withBos(Prompts.encode(tokenizer, render(messages), messages));
    }

    // ---- what it is for

    /** A conversation without a system message. */
    public Chat chat() {
        return chat(null);
    }

    /** A conversation. */
    public Chat chat(@Nullable String system) {
        return new Chat(this, system);
    }

    /** Continues a text; see {@link #encode(String)}. */
    public Generation generate(String prompt, Sampling sampling) {
        return generate(encode(prompt), sampling);
    }

    /**
     * Continues token ids.
     *
     * @throws dev.lacuna.generate.ContextFullException if they leave no room for an answer
     */
    public Generation generate(int[] prompt, Sampling sampling) {
        return engine.submit(prompt, sampling);
    }

    /**
     * Continues token ids for one of several who must not learn of each other.
     *
     * @param namespace prefixes in the cache are shared only among equal namespaces; keep their number small
     * @throws dev.lacuna.generate.ContextFullException if they leave no room for an answer
     */
    public Generation generate(int[] prompt, Sampling sampling, String namespace) {
        return engine.submit(prompt, sampling, namespace);
    }

    /** What the engine was doing after its last step; never waits. */
    public EngineStats stats() {
        return engine.stats();
    }

    /** What ended the engine unasked, after which the model can only be closed; null while all is well. */
    public @Nullable Throwable failure() {
        return engine.failure();
    }

    /**
     * Perplexity of a text: tokenized as a whole without a beginning-of-sequence token, cut into consecutive windows, each scored from an empty cache
     * from its second token on; where the model wants a beginning-of-sequence token it takes the first place of each window.
     *
     * @param window  tokens of a window
     * @param windows the most windows; 0: all whole ones
     * @param decode  whether to feed token by token, as decoding does
     * @param each    told after each window how many are done
     */
    public Evaluation evaluate(int[] text, int window, int windows, boolean decode, IntConsumer each) {
        int whole = text.length / window;
        int n = windows == 0 ? whole : Math.min(windows, whole);
        if (n == 0) throw new IllegalArgumentException("the text has " + text.length + " tokens, less than one window of " + window);
        double[] nll = new double[n];
        long begun = System.nanoTime();
        for (int w = 0; w < n; w++) {
            int[] ids = Arrays.copyOfRange(text, w * window, (w + 1) * window);
            if (tokenizer.addBos()) ids[0] = tokenizer.bos();
            nll[w] = engine.score(ids, decode);
            each.accept(w + 1);
        }
        return new Evaluation(nll, window, System.nanoTime() - begun);
    }

    /**
     * Makes ready to time steps of this model on random tokens, with its kernels, inputs and packing of the cache; nothing of a session is touched.
     *
     * @param rows      most tokens of a step of a prompt
     * @param sequences most sequences that decode together
     * @param positions most tokens of each, at most {@link #context}
     * @throws MemoryException          if their cache does not fit
     * @throws IllegalArgumentException if the positions are more than the context
     */
    public Benchmark benchmark(int rows, int sequences, int positions) {
        if (positions < 1 || positions > context()) {
            throw new IllegalArgumentException("sequences of " + positions + " tokens in a context of " + context());
        }
        long need = Math.multiplyExact(spec.kv(options.kv()).blockBytes(), (long) Benchmark.blocks(sequences, positions));
        OptionalLong available = MemoryException.available();
        if (available.isPresent() && need > available.getAsLong()) {
            throw MemoryException.of(sequences + " sequences of " + positions + " tokens in " + options.kv(), need, available.getAsLong());
        }
        return new Benchmark(engine, decoder, options.kv(), new Limits(rows, sequences, sequences, KvSpec.blocksFor(positions)));
    }

    /** Cache blocks that running generations hold. */
    int blocksInUse() {
        return engine.blocksInUse();
    }

    /** Cancels what runs and frees everything; idempotent. */
    @Override
    public synchronized void close() {
        if (closed) return;
        closed = true;
        engine.close();
        ops.close();
        encoded.close();
        file.close();
    }
}
