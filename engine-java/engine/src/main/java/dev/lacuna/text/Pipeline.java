package dev.lacuna.text;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** Normalisation, the tokens that are found in normalised text, the stages that cut words, and the model for the words. */
final class Pipeline implements Segmenter {
    private final @Nullable Normalization normalization;
    private final @Nullable Specials userDefined;
    private final @Nullable Specials all;
    private final Stage[] stages;
    private final WordModel model;

    Pipeline(@Nullable Normalization normalization, List<? extends Stage> stages, WordModel model) {
        this(normalization, List.of(), stages, model);
    }

    /** @param added tokens whose text is already normalised */
    Pipeline(@Nullable Normalization normalization, List<Specials.Rule> added, List<? extends Stage> stages, WordModel model) {
        this.normalization = normalization;
        this.stages = stages.toArray(Stage[]::new);
        this.model = model;
        all = added.isEmpty() ? null : new Specials(added, true);
        userDefined = added.isEmpty() ? null : new Specials(added, false);
    }

    @Override
    public void encode(String text, int from, int to, boolean parseSpecial, IdList ids) {
        boolean first = from == 0;
        Merger scratch = model.scratch();
        if (normalization == null || normalization.leaves(text, from, to)) {
            cut(text, from, to, first, parseSpecial, scratch, ids);
        } else {
            String normal = normalization.apply(text.substring(from, to));
            cut(normal, 0, normal.length(), first, parseSpecial, scratch, ids);
        }
    }

    private void cut(String text, int from, int to, boolean first, boolean parseSpecial, Merger scratch, IdList ids) {
        Specials specials = parseSpecial ? all : userDefined;
        if (specials == null) {
            run(0, text, from, to, first, scratch, ids);
        } else {
            specials.cut(text, from, to, ids, (begin, end) -> run(0, text, begin, end, first && begin == from, scratch, ids));
        }
    }

    private void run(int number, String text, int from, int to, boolean first, Merger scratch, IdList ids) {
        if (from == to) {
            return;
        }
        if (number == stages.length) {
            model.encode(text, from, to, scratch, ids);
            return;
        }
        switch (stages[number]) {
            case Stage.Cut(Scanner scanner) -> {
                for (int at = from; at < to;) {
                    int end = scanner.next(text, at, to);
                    run(number + 1, text, at, end, first && at == from, scratch, ids);
                    at = end;
                }
            }
            case Stage.DropSpace() -> {
                for (int at = from; at < to;) {
                    int end = at;
                    while (end < to && !Characters.isSpace(text.charAt(end))) {
                        end++;
                    }
                    run(number + 1, text, at, end, first && at == from, scratch, ids);
                    at = end;
                    while (at < to && Characters.isSpace(text.charAt(at))) {
                        at++;
                    }
                }
            }
            case Stage.Spell(char space, Stage.Prefix prefix) -> {
                String piece = text.substring(from, to).replace(' ', space);
                boolean wanted = prefix == Stage.Prefix.ALWAYS || (prefix == Stage.Prefix.FIRST && first);
                String spelled = wanted && piece.charAt(0) != space ? space + piece : piece;
                run(number + 1, spelled, 0, spelled.length(), first, scratch, ids);
            }
        }
    }

    @Override
    public byte[] bytes(int id) {
        return model.bytes(id);
    }
}
