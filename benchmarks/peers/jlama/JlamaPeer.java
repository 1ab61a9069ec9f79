import com.github.tjake.jlama.model.AbstractModel;
import com.github.tjake.jlama.model.ModelSupport;
import com.github.tjake.jlama.safetensors.DType;
import com.github.tjake.jlama.safetensors.SafeTensorSupport;
import com.github.tjake.jlama.tensor.AbstractTensor;
import com.github.tjake.jlama.tensor.KvBufferCache;
import com.github.tjake.jlama.tensor.operations.TensorOperationsProvider;
import java.io.File;
import java.lang.reflect.Field;
import java.nio.file.Path;
import java.util.Optional;
import java.util.SplittableRandom;

/**
 * One prefill and decode in Jlama after {@code WARM} of each, with 4-bit weights and 8-bit activations, which is its fastest way; a JSON line.
 * For run.py. It has no public way to a cache of its own, hence the reflection.
 */
public class JlamaPeer {
    private static final int WARM = 4;

    /** Arguments: folder, threads, prompt, tokens; or quantize, folder, new folder. */
    public static void main(String[] args) throws Exception {
        if (args[0].equals("quantize")) {
            SafeTensorSupport.quantizeModel(Path.of(args[1]), DType.Q4, new String[]{"norm"}, new String[0], Optional.of(Path.of(args[2])));
            System.exit(0);
        }
        int threads = Integer.parseInt(args[1]);
        int prompt = Integer.parseInt(args[2]);
        int tokens = Integer.parseInt(args[3]);
        AbstractModel model = ModelSupport.loadModel(new File(args[0]), null, DType.F32, DType.I8, Optional.empty(), Optional.of(threads));
        int vocabulary = model.getConfig().vocabularySize;
        Field caches = AbstractModel.class.getDeclaredField("kvBufferCache");
        caches.setAccessible(true);
        KvBufferCache cache = (KvBufferCache) caches.get(model);
        SplittableRandom random = new SplittableRandom(1);
        AbstractTensor logits = model.makeDenseTensor(vocabulary);
        double pp = 0;
        double tg = 0;
        for (int run = 0; run <= WARM; run++) {
            int[] ids = random.ints(prompt, 3, vocabulary).toArray();
            KvBufferCache.KvBuffer buffer = cache.getEphemeralKvBuffer();
            long begun = System.nanoTime();
            AbstractTensor out = model.batchForward(ids, 0, buffer);
            model.sample(out.slice(out.shape().first() - 1), 0f, 0f, logits);
            pp = prompt * 1e9 / (System.nanoTime() - begun);
            out.close();
            buffer.close();
            buffer = cache.getEphemeralKvBuffer();
            begun = System.nanoTime();
            for (int i = 0; i < tokens; i++) {
                out = model.forward(random.nextInt(3, vocabulary), i, buffer, Optional.empty());
                model.sample(out, 0f, 0f, logits);
                out.close();
            }
            tg = tokens * 1e9 / (System.nanoTime() - begun);
            buffer.close();
        }
        System.out.printf("{\"version\": \"Jlama 0.8.4, %s, Q4 weights, I8 work\", \"pp%d\": %.3f, \"tg%d\": %.3f}%n",
                TensorOperationsProvider.get().name(), prompt, pp, tokens, tg);
        System.exit(0);
    }
}
