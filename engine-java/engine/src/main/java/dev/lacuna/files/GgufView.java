package dev.lacuna.files;

import dev.lacuna.tensor.Tensor;
import java.lang.foreign.SegmentAllocator;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.function.BiFunction;
import org.jspecify.annotations.Nullable;

/**
 * A folder seen through GGUF's keys and tensor names, so that a family of models is read once for both. Nothing is copied but what a name's recipe
 * changes.
 */
public final class GgufView implements ModelFile {
    /** Makes a tensor of the folder's tensor, in memory that lives as long as the folder. */
    public interface Recipe extends BiFunction<Tensor, SegmentAllocator, Tensor> {}

    private record Place(String source, @Nullable Recipe recipe) {}

    private final Safetensors folder;
    private final Map<String, Object> metadata = new LinkedHashMap<>();
    private final Map<String, TensorInfo> tensors = new LinkedHashMap<>();
    private final Map<String, Place> places = new LinkedHashMap<>();
    private final Map<String, Tensor> own = new LinkedHashMap<>();

    public GgufView(Safetensors folder) {
        this.folder = folder;
    }

    /** Sets a key. */
    public GgufView put(String key, Object value) {
        metadata.put(key, value);
        return this;
    }

    /** Gives a tensor of the folder a name here. */
    public GgufView name(String name, String source) {
        return name(name, source, null);
    }

    /** Gives a name here to what a recipe makes of a tensor of the folder. */
    public GgufView name(String name, String source, @Nullable Recipe recipe) {
        TensorInfo info = folder.tensors().get(source);
        if (info == null) throw new IllegalArgumentException("there is no tensor " + source);
        if (places.put(name, new Place(source, recipe)) != null)
            throw new ModelFileException(path(), "tensor " + ModelFileException.quoted(source), "is a second " + name);
        tensors.put(name, new TensorInfo(name, info.dims(), info.type(), info.format(), info.offset(), info.bytes()));
        return this;
    }

    /** Adds a tensor that the folder does not have as one. */
    public GgufView add(Tensor tensor) {
        own.put(tensor.name(), tensor);
        tensors.put(tensor.name(), new TensorInfo(tensor.name(), new long[]{tensor.rows(), tensor.cols()}, tensor.format().name(),
                Optional.of(tensor.format()), 0, tensor.data().byteSize()));
        return this;
    }

    @Override
    public Path path() {
        return folder.path();
    }

    @Override
    public Map<String, Object> metadata() {
        return Collections.unmodifiableMap(metadata);
    }

    @Override
    public Map<String, TensorInfo> tensors() {
        return Collections.unmodifiableMap(tensors);
    }

    @Override
    public Optional<Tensor> find(String name) {
        Tensor mine = own.get(name);
        if (mine != null) return Optional.of(mine);
        Place place = places.get(name);
        if (place == null) return Optional.empty();
        Recipe recipe = place.recipe;
        if (recipe == null) return folder.find(place.source).map(t -> new Tensor(name, t.format(), t.rows(), t.cols(), t.data()));
        return Optional.of(folder.make("view " + name, memory -> recipe.apply(folder.tensor(place.source), memory)));
    }

    /** Closes the folder. */
    @Override
    public void close() {
        folder.close();
    }
}
