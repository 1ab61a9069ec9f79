package dev.lacuna.model;

import dev.lacuna.model.RopeSpec.Scaling;
import dev.lacuna.ops.Norm;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.stream.Collectors;

/** Says in words what a model has beside plain attention and feed-forward blocks. */
final class Features {
    private Features() {}

    static List<String> of(ModelSpec spec, Weights w) {
        List<String> all = new ArrayList<>();
        all.add(spec.norms() == Norm.Kind.RMS ? "RMS norms" : "layer norms");
        if (w.layers().stream().anyMatch(l -> l.attention() != null && l.attention().post() != null)) all.add("norms after blocks");
        if (w.layers().stream().anyMatch(l -> l.attention() != null && l.attention().heads() != null)) all.add("q and k norms");
        if (w.layers().stream().anyMatch(l -> l.attention() != null && l.attention().q().bias() != null)) all.add("biases of q, k, v");
        if (w.layers().stream().anyMatch(l -> l.ffn() != null && l.ffn().down().bias() != null)) all.add("biases of feed-forward blocks");
        boolean gated = w.layers().stream().anyMatch(l -> l.ffn() != null && l.ffn().gate() != null);
        all.add((gated ? "gated " : "plain ") + spec.activation().name().toLowerCase(Locale.ROOT).replace('_', ' '));
        if (w.positions() != null) all.add("learned positions");
        spec.layers().stream().map(ModelSpec.Layer::rope).filter(Objects::nonNull).distinct().map(Features::rope).forEach(all::add);
        spec.layers().stream().filter(l -> l.window() > 0).collect(Collectors.groupingBy(ModelSpec.Layer::window, Collectors.counting()))
                .forEach((window, n) -> all.add("window of " + window + " in " + n + " of " + spec.layers().size() + " layers"));
        if (spec.attentionCap() > 0) all.add("scores capped at " + spec.attentionCap());
        if (spec.logitCap() > 0) all.add("logits capped at " + spec.logitCap());
        if (spec.embeddingScale() != 1) all.add("embeddings times " + spec.embeddingScale());
        all.add(w.output() == null ? "output tied to the embedding" : "output of its own");
        return all;
    }

    private static String rope(RopeSpec r) {
        String scaling = switch (r.scaling()) {
            case Scaling.None none -> "";
            case Scaling.Linear l -> ", linear by " + l.factor();
            case Scaling.Ntk n -> ", NTK by " + n.factor();
            case Scaling.Dynamic d -> ", dynamic NTK by " + d.factor() + " beyond " + d.original();
            case Scaling.Yarn y -> ", YaRN by " + y.factor() + " from " + y.original();
            case Scaling.Llama3 l -> ", Llama 3 by " + l.factor() + " from " + l.original();
            case Scaling.Divisors d -> ", divisors of the file";
            case Scaling.LongRope l -> ", LongRoPE from " + l.original();
        };
        return "RoPE of " + r.dims() + " values, base " + r.base() + scaling;
    }
}
