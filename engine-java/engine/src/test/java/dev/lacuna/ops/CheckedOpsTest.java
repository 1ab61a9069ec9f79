package dev.lacuna.ops;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lacuna.tensor.Format;
import dev.lacuna.tensor.Tensor;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Every check has a wrong call here, and the words that tell its caller what is wrong. */
class CheckedOpsTest {
    private static final Limits LIMITS = new Limits(4, 2, 2, 3);
    private static final Class<IllegalArgumentException> ARGUMENT = IllegalArgumentException.class;
    private static final Class<IllegalStateException> STATE = IllegalStateException.class;

    private final House house = new House(new ReferenceOps(1));

    @AfterEach
    void close() {
        house.close();
    }

    /** Operands that fit together, and some that do not. */
    private static final class House implements AutoCloseable {
        final Arena arena = Arena.ofShared();
        final CheckedOps ops;
        final CheckedOps elsewhere = new CheckedOps(new ReferenceOps(1));
        final Workspace room;
        final Workspace small;
        final Workspace shut;
        final KvPool kv;
        final KvPool shutKv;
        final KvPool foreignKv;
        final Act x;
        final Act x2;
        final Act wide;
        final Act packed;
        final Act packedWide;
        final Act tiny;
        final Act gone;
        final Logits logits;
        final Logits otherLogits;
        final Logits goneLogits;
        final TopK best;
        final TopK goneBest;
        final Values v32;
        final Values v64;
        final Values v16;
        final Values foreign;
        final Values table;
        final Weight up;
        final Weight upI8;
        final Weight square;
        final Weight down;
        final Weight embedding;
        final Weight foreignWeight;
        final Rope rope;
        final RowSet set64;
        final RowSet set32;
        final RowSet goneSet;
        final Weight upRows;
        final Weight upRowsI8;
        final Weight squareRows;
        final Weight downColumns;
        final Weight squareColumns;

        House(Ops raw) {
            ops = new CheckedOps(raw);
            room = ops.workspace(LIMITS);
            small = ops.workspace(new Limits(1, 1, 1, 1));
            shut = ops.workspace(LIMITS);
            KvSpec spec = new KvSpec(new int[]{2, 1}, 16, KvType.F32);
            kv = ops.kv(spec, 5);
            shutKv = ops.kv(spec, 5);
            foreignKv = elsewhere.kv(spec, 5);
            x = room.act(32, InputPolicy.F32);
            x2 = room.act(32, InputPolicy.F32);
            wide = room.act(64, InputPolicy.F32);
            packed = room.act(32, InputPolicy.I8);
            packedWide = room.act(64, InputPolicy.I8);
            tiny = small.act(32, InputPolicy.F32);
            gone = shut.act(32, InputPolicy.F32);
            logits = room.logits(64);
            otherLogits = room.logits(63);
            goneLogits = shut.logits(64);
            best = room.topK(3);
            goneBest = shut.topK(3);
            v16 = ops.values(new float[16]);
            v32 = ops.values(new float[32]);
            v64 = ops.values(new float[64]);
            table = ops.values(new float[40 * 16]);
            foreign = elsewhere.values(new float[32]);
            up = place(ops, 64, 32, InputPolicy.F32);
            upI8 = place(ops, 64, 32, InputPolicy.I8);
            square = place(ops, 32, 32, InputPolicy.F32);
            down = place(ops, 32, 64, InputPolicy.F32);
            embedding = ops.place(List.of(tensor(Format.F32, 50, 32)), InputPolicy.F32, Set.of(Use.EMBED)).getFirst();
            foreignWeight = place(elsewhere, 64, 32, InputPolicy.F32);
            rope = new Rope(table, 16, 16, false);
            set64 = room.rowSet(64);
            set32 = room.rowSet(32);
            goneSet = shut.rowSet(64);
            upRows = rows(64, 32, InputPolicy.F32, Use.ROWS);
            upRowsI8 = rows(64, 32, InputPolicy.I8, Use.ROWS);
            squareRows = rows(32, 32, InputPolicy.F32, Use.ROWS);
            downColumns = rows(64, 32, InputPolicy.F32, Use.COLUMNS);
            squareColumns = rows(32, 32, InputPolicy.F32, Use.COLUMNS);
            shut.close();
            shutKv.close();
        }

        private Weight rows(int rows, int cols, InputPolicy policy, Use use) {
            return ops.place(List.of(tensor(Format.Q8_0, rows, cols)), policy, Set.of(use)).getFirst();
        }

        Tensor tensor(Format format, int rows, int cols) {
            return PackedWeights.random(format, rows, cols, arena, new Random(1));
        }

        private Weight place(Ops on, int rows, int cols, InputPolicy policy) {
            return on.place(List.of(tensor(Format.Q8_0, rows, cols)), policy, Set.of(Use.PRODUCT)).getFirst();
        }

        /** Two sequences, three rows, the second and third ask for logits. */
        Batch batch() {
            return batch(7, 3, 2);
        }

        Batch batch(int token, int position, int block) {
            Batch b = new Batch(new Limits(8, 4, 3, 4));
            b.clear(3);
            b.addSequence(new int[]{1, 2, 3}, 3);
            b.addRow(token, position, false);
            b.addRow(0, 1, true);
            b.addSequence(new int[]{4, block}, 2);
            b.addRow(0, 0, true);
            return b;
        }

        void run(Batch b, Runnable body) {
            ops.run(Step.of(0, b), b, body);
        }

        Linear plain(Weight w) {
            return new Linear(w, null);
        }

        @Override
        public void close() {
            List.of(room, small, shut).forEach(Workspace::close);
            List.of(kv, shutKv, foreignKv).forEach(KvPool::close);
            ops.close();
            elsewhere.close();
            arena.close();
        }
    }

    /** A call that must fail with that exception and those words. */
    private record Wrong(String name, Class<? extends Exception> type, String words, Consumer<House> call) {
        @Override
        public String toString() {
            return name + ": " + words;
        }
    }

    private static Wrong wrong(String name, Class<? extends Exception> type, String words, Consumer<House> call) {
        return new Wrong(name, type, words, call);
    }

    private static void check(Wrong w, House h) {
        Exception e = assertThrows(Exception.class, () -> w.call.accept(h));
        assertEquals(w.type, e.getClass(), e.toString());
        assertTrue(e.getMessage().contains(w.words), e.getMessage());
    }

    static Stream<Wrong> inside() {
        List<Wrong> all = new ArrayList<>();
        String in = "inside run(): a device that replays the step would not see it";
        all.add(wrong("place", STATE, "place " + in,
                h -> h.ops.place(List.of(h.tensor(Format.F32, 1, 1)), InputPolicy.F32, Set.of(Use.PRODUCT))));
        all.add(wrong("values", STATE, "values " + in, h -> h.ops.values(new float[1])));
        all.add(wrong("kv", STATE, "kv " + in, h -> h.ops.kv(h.kv.spec(), 2)));
        all.add(wrong("workspace", STATE, "workspace " + in, h -> h.ops.workspace(LIMITS)));
        all.add(wrong("act", STATE, "act " + in, h -> h.room.act(1, InputPolicy.F32)));
        all.add(wrong("logits", STATE, "logits " + in, h -> h.room.logits(1)));
        all.add(wrong("topK", STATE, "topK " + in, h -> h.room.topK(1)));
        all.add(wrong("rowSet", STATE, "rowSet " + in, h -> h.room.rowSet(1)));
        all.add(wrong("write rows", STATE, "write " + in, h -> h.ops.write(h.set64, new int[0])));
        all.add(wrong("read rows", STATE, "read " + in, h -> h.ops.read(h.set64)));
        all.add(wrong("close room", STATE, "close " + in, h -> h.room.close()));
        all.add(wrong("close cache", STATE, "close " + in, h -> h.kv.close()));
        all.add(wrong("close", STATE, "close " + in, h -> h.ops.close()));
        all.add(wrong("copyBlock", STATE, "copyBlock " + in, h -> h.kv.copyBlock(1, 2)));
        all.add(wrong("readKeys", STATE, "readKeys " + in, h -> h.kv.readKeys(0, 1)));
        all.add(wrong("readValues", STATE, "readValues " + in, h -> h.kv.readValues(0, 1)));
        all.add(wrong("write", STATE, "write " + in, h -> h.ops.write(h.x, new float[32])));
        all.add(wrong("read", STATE, "read " + in, h -> h.ops.read(h.x, 1)));
        all.add(wrong("read logits", STATE, "read " + in, h -> h.ops.read(h.logits)));
        all.add(wrong("read best", STATE, "read " + in, h -> h.ops.read(h.best)));
        all.add(wrong("run", STATE, "two steps at once", h -> h.run(h.batch(), () -> {})));

        all.add(wrong("embed", STATE, "embed: the weight was not placed here", h -> h.ops.embed(Embedding.of(h.foreignWeight), h.x)));
        all.add(wrong("embed", ARGUMENT, "embed: the weight was placed for [PRODUCT], not for EMBED",
                h -> h.ops.embed(Embedding.of(h.square), h.x)));
        all.add(wrong("embed", ARGUMENT, "embed: x has 64 columns, needs 32", h -> h.ops.embed(Embedding.of(h.embedding), h.wide)));
        all.add(wrong("embed", STATE, "embed: x is not an activation of an open workspace here",
                h -> h.ops.embed(Embedding.of(h.embedding), h.gone)));
        all.add(wrong("embed", ARGUMENT, "embed: the step has 3 rows, x has room for 1",
                h -> h.ops.embed(Embedding.of(h.embedding), h.tiny)));

        all.add(wrong("embed", ARGUMENT, "embed: the weight was placed for [PRODUCT], not for EMBED",
                h -> h.ops.embed(new Embedding(h.embedding, 1, h.square, 0), h.x)));
        all.add(wrong("embed", ARGUMENT, "embed: position 0 is row 50 of 50",
                h -> h.ops.embed(new Embedding(h.embedding, 1, h.embedding, 50), h.x)));
        all.add(wrong("embed", ARGUMENT, "the table of positions ends at 1",
                h -> h.ops.embed(new Embedding(h.embedding, 1, h.embedding, 49), h.x)));

        Norm[] none = {null};
        all.add(wrong("addNorm", ARGUMENT, "residual must be F32, is I8",
                h -> h.ops.addNorm(h.packed, h.x, none[0], norm(h.v32), false, h.x2)));
        all.add(wrong("addNorm", ARGUMENT, "delta has 64 columns, needs 32",
                h -> h.ops.addNorm(h.x, h.wide, null, norm(h.v32), false, h.x2)));
        all.add(wrong("addNorm", ARGUMENT, "delta must be F32, is I8", h -> h.ops.addNorm(h.x, h.packed, null, norm(h.v32), false, h.x2)));
        all.add(wrong("addNorm", ARGUMENT, "out has 64 columns, needs 32",
                h -> h.ops.addNorm(h.x, null, null, norm(h.v32), false, h.packedWide)));
        all.add(wrong("addNorm", ARGUMENT, "gain has 64 values, needs 32", h -> h.ops.addNorm(h.x, null, null, norm(h.v64), false, h.x2)));
        all.add(wrong("addNorm", STATE, "gain was not placed here", h -> h.ops.addNorm(h.x, null, null, norm(h.foreign), false, h.x2)));
        all.add(wrong("addNorm", ARGUMENT, "bias has 64 values, needs 32",
                h -> h.ops.addNorm(h.x, null, null, layer(h.v32, h.v64), false, h.x2)));
        all.add(wrong("addNorm", ARGUMENT, "gain has 64 values, needs 32", h -> h.ops.addNorm(h.x, h.x2, norm(h.v64), null, false, null)));
        all.add(wrong("addNorm", ARGUMENT, "a post norm without a delta",
                h -> h.ops.addNorm(h.x, null, norm(h.v32), norm(h.v32), false, h.x2)));
        all.add(wrong("addNorm", ARGUMENT, "a norm and an output belong together",
                h -> h.ops.addNorm(h.x, null, null, norm(h.v32), false, null)));
        all.add(wrong("addNorm", ARGUMENT, "a norm and an output belong together",
                h -> h.ops.addNorm(h.x, h.x2, null, null, false, h.packed)));
        all.add(wrong("addNorm", ARGUMENT, "nothing normed to keep", h -> h.ops.addNorm(h.x, h.x2, null, null, true, null)));

        all.add(wrong("linear", STATE, "linear: the weight was not placed here", h -> h.ops.linear(h.x, h.plain(h.foreignWeight), h.wide)));
        all.add(wrong("linear", ARGUMENT, "placed for [EMBED], not for PRODUCT", h -> h.ops.linear(h.x, h.plain(h.embedding), h.wide)));
        all.add(wrong("linear", ARGUMENT, "x has 64 columns, needs 32", h -> h.ops.linear(h.wide, h.plain(h.up), h.wide)));
        all.add(wrong("linear", ARGUMENT, "x is packed as F32, the weight takes I8/32", h -> h.ops.linear(h.x, h.plain(h.upI8), h.wide)));
        all.add(wrong("linear", ARGUMENT, "x is packed as I8/32, the weight takes F32",
                h -> h.ops.linear(h.packed, h.plain(h.up), h.wide)));
        all.add(wrong("linear", ARGUMENT, "y has 32 columns, needs 64", h -> h.ops.linear(h.x, h.plain(h.up), h.x2)));
        all.add(wrong("linear", ARGUMENT, "y must be F32, is I8", h -> h.ops.linear(h.x, h.plain(h.up), h.packedWide)));
        all.add(wrong("linear", ARGUMENT, "bias has 32 values, needs 64", h -> h.ops.linear(h.x, new Linear(h.up, h.v32), h.wide)));
        all.add(wrong("linear", STATE, "bias was not placed here", h -> h.ops.linear(h.x, new Linear(h.square, h.foreign), h.x2)));
        all.add(wrong("linear", ARGUMENT, "x and y are one activation", h -> h.ops.linear(h.x, h.plain(h.square), h.x)));

        all.add(wrong("rope", ARGUMENT, "ropeAppend: the cache was not made here",
                h -> append(h, h.wide, h.x, h.x2, h.rope, h.foreignKv, 0)));
        all.add(wrong("rope", STATE, "this cache is closed", h -> append(h, h.wide, h.x, h.x2, h.rope, h.shutKv, 0)));
        for (int layer : new int[]{-1, 2}) {
            all.add(wrong("rope", ARGUMENT, "layer " + layer + " of a cache of 2 layers",
                    h -> append(h, h.wide, h.x, h.x2, h.rope, h.kv, layer)));
        }
        all.add(wrong("rope", ARGUMENT, "the rotation is for heads of 8, the cache for 16",
                h -> append(h, h.wide, h.x, h.x2, new Rope(h.table, 8, 8, false), h.kv, 0)));
        for (int dims : new int[]{-2, 3, 18}) {
            all.add(wrong("rope", ARGUMENT, dims + " of 16 values rotate",
                    h -> append(h, h.wide, h.x, h.x2, new Rope(h.table, dims, 16, false), h.kv, 0)));
        }
        all.add(wrong("rope", ARGUMENT, "k has 64 columns, needs 32", h -> append(h, h.x, h.wide, h.x2, h.rope, h.kv, 0)));
        all.add(wrong("rope", ARGUMENT, "v has 64 columns, needs 32", h -> append(h, h.x, h.x2, h.wide, h.rope, h.kv, 0)));
        all.add(wrong("rope", ARGUMENT, "k has 32 columns, needs 16", h -> append(h, h.wide, h.x, h.x2, h.rope, h.kv, 1)));
        all.add(wrong("rope", ARGUMENT, "q must be F32, is I8", h -> append(h, h.packed, h.x, h.x2, h.rope, h.kv, 0)));
        all.add(wrong("rope", ARGUMENT, "k must be F32, is I8", h -> append(h, h.wide, h.packed, h.x2, h.rope, h.kv, 0)));
        all.add(wrong("rope", ARGUMENT, "v must be F32, is I8", h -> append(h, h.wide, h.x, h.packed, h.rope, h.kv, 0)));
        all.add(wrong("rope", STATE, "table was not placed here",
                h -> append(h, h.wide, h.x, h.x2, new Rope(h.foreign, 16, 16, false), h.kv, 0)));
        all.add(wrong("rope", ARGUMENT, "q gain has 32 values, needs 16",
                h -> h.ops.ropeAppend(h.wide, h.x, h.x2, new HeadNorm(h.v32, h.v16, 1), h.rope, h.kv, 0)));
        all.add(wrong("rope", ARGUMENT, "k gain has 32 values, needs 16",
                h -> h.ops.ropeAppend(h.wide, h.x, h.x2, new HeadNorm(h.v16, h.v32, 1), h.rope, h.kv, 0)));

        all.add(wrong("attend", ARGUMENT, "attend: the cache was not made here",
                h -> h.ops.attend(h.x, h.foreignKv, 0, attention(16, 0, 0, 0, 1), h.x2)));
        all.add(wrong("attend", STATE, "this cache is closed", h -> h.ops.attend(h.x, h.shutKv, 0, attention(16, 0, 0, 0, 1), h.x2)));
        all.add(wrong("attend", ARGUMENT, "layer 2 of a cache of 2", h -> h.ops.attend(h.x, h.kv, 2, attention(16, 0, 0, 0, 0), h.x2)));
        all.add(wrong("attend", ARGUMENT, "heads of 8, the cache has heads of 16",
                h -> h.ops.attend(h.x, h.kv, 0, attention(8, 0, 0, 0, 1, 1, 0), h.x2)));
        all.add(wrong("attend", ARGUMENT, "q has 64 columns, needs 32",
                h -> h.ops.attend(h.wide, h.kv, 0, attention(16, 0, 0, 0, 1), h.x2)));
        all.add(wrong("attend", ARGUMENT, "q must be F32, is I8", h -> h.ops.attend(h.packed, h.kv, 0, attention(16, 0, 0, 0, 1), h.x2)));
        all.add(wrong("attend", ARGUMENT, "out has 64 columns, needs 32",
                h -> h.ops.attend(h.x, h.kv, 0, attention(16, 0, 0, 0, 1), h.packedWide)));
        all.add(wrong("attend", ARGUMENT, "reads key head 1 of 1", h -> h.ops.attend(h.x, h.kv, 1, attention(16, 0, 0, 0, 1), h.x2)));
        all.add(wrong("attend", ARGUMENT, "reads key head -1 of 2", h -> h.ops.attend(h.x, h.kv, 0, attention(16, 0, 0, 0, -1), h.x2)));
        all.add(wrong("attend", ARGUMENT, "a window of -1 positions", h -> h.ops.attend(h.x, h.kv, 0, attention(16, -1, 0, 0, 1), h.x2)));
        all.add(wrong("attend", ARGUMENT, "a soft cap of -1.0", h -> h.ops.attend(h.x, h.kv, 0, attention(16, 0, -1, 0, 1), h.x2)));
        all.add(wrong("attend", ARGUMENT, "a soft cap of NaN", h -> h.ops.attend(h.x, h.kv, 0, attention(16, 0, Float.NaN, 0, 1), h.x2)));
        all.add(wrong("attend", ARGUMENT, "q and out are one activation", h -> h.ops.attend(h.x, h.kv, 0, attention(16, 0, 0, 0, 1), h.x)));

        all.add(wrong("activate", ARGUMENT, "gate must be F32, is I8", h -> h.ops.activate(Activation.RELU, h.packed, null, h.x)));
        all.add(wrong("activate", ARGUMENT, "up has 64 columns, needs 32", h -> h.ops.activate(Activation.RELU, h.x, h.wide, h.x2)));
        all.add(wrong("activate", ARGUMENT, "up must be F32, is I8", h -> h.ops.activate(Activation.RELU, h.x, h.packed, h.x2)));
        all.add(wrong("activate", ARGUMENT, "out has 64 columns, needs 32", h -> h.ops.activate(Activation.RELU, h.x, null, h.wide)));

        all.add(wrong("logits", ARGUMENT, "x has 64 columns, needs 32", h -> h.ops.logits(h.wide, h.plain(h.up), 0, h.logits)));
        all.add(wrong("logits", ARGUMENT, "logits: a soft cap of -2.0", h -> h.ops.logits(h.x, h.plain(h.up), -2, h.logits)));
        all.add(wrong("logits", STATE, "the output is not of an open workspace here",
                h -> h.ops.logits(h.x, h.plain(h.up), 0, h.goneLogits)));
        all.add(wrong("logits", ARGUMENT, "room for 63 tokens, the weight has 64 rows",
                h -> h.ops.logits(h.x, h.plain(h.up), 0, h.otherLogits)));
        all.add(wrong("topK", STATE, "topK: not of an open workspace here", h -> h.ops.topK(h.goneLogits, 3, h.best)));
        all.add(wrong("topK", STATE, "topK: not of an open workspace here", h -> h.ops.topK(h.logits, 3, h.goneBest)));
        all.add(wrong("topK", ARGUMENT, "the best 2 of 64 tokens into room for 3", h -> h.ops.topK(h.logits, 2, h.best)));

        all.add(wrong("select", ARGUMENT, "select: scores must be F32, is I8", h -> h.ops.select(h.packedWide, 0, h.set64)));
        all.add(wrong("select", ARGUMENT, "select: a set of up to 32 rows where there are 64", h -> h.ops.select(h.wide, 0, h.set32)));
        all.add(wrong("select", STATE, "select: the set of rows is not of an open workspace", h -> h.ops.select(h.wide, 0, h.goneSet)));
        all.add(wrong("select", ARGUMENT, "select: a threshold that is not a number", h -> h.ops.select(h.wide, Float.NaN, h.set64)));

        all.add(wrong("rows", ARGUMENT, "rows: the weight was placed for [PRODUCT], not for ROWS",
                h -> h.ops.rows(h.x, h.plain(h.up), h.set64, h.wide)));
        all.add(wrong("rows", ARGUMENT, "linear: the weight was placed for [ROWS], not for PRODUCT",
                h -> h.ops.linear(h.x, h.plain(h.upRows), h.wide)));
        all.add(wrong("rows", ARGUMENT, "rows: x has 64 columns, needs 32", h -> h.ops.rows(h.wide, h.plain(h.upRows), h.set64, h.wide)));
        all.add(wrong("rows", ARGUMENT, "rows: x is packed as F32, the weight takes I8/32",
                h -> h.ops.rows(h.x, h.plain(h.upRowsI8), h.set64, h.wide)));
        all.add(wrong("rows", ARGUMENT, "rows: bias has 32 values, needs 64",
                h -> h.ops.rows(h.x, new Linear(h.upRows, h.v32), h.set64, h.wide)));
        all.add(wrong("rows", ARGUMENT, "rows: a set of up to 32 rows where there are 64",
                h -> h.ops.rows(h.x, h.plain(h.upRows), h.set32, h.wide)));
        all.add(wrong("rows", STATE, "rows: the set of rows is not of an open workspace",
                h -> h.ops.rows(h.x, h.plain(h.upRows), h.goneSet, h.wide)));
        all.add(wrong("rows", ARGUMENT, "rows: compact has 32 columns, needs 64",
                h -> h.ops.rows(h.x, h.plain(h.upRows), h.set64, h.x2)));
        all.add(wrong("rows", ARGUMENT, "rows: compact must be F32, is I8",
                h -> h.ops.rows(h.x, h.plain(h.upRows), h.set64, h.packedWide)));
        all.add(wrong("rows", ARGUMENT, "rows: x and compact are one activation",
                h -> h.ops.rows(h.x, h.plain(h.squareRows), h.set32, h.x)));

        all.add(wrong("columns", ARGUMENT, "columns: the weight was placed for [ROWS], not for COLUMNS",
                h -> h.ops.columns(h.wide, h.plain(h.upRows), h.set64, h.x)));
        all.add(wrong("columns", ARGUMENT, "columns: compact has 32 columns, needs 64",
                h -> h.ops.columns(h.x, h.plain(h.downColumns), h.set64, h.x2)));
        all.add(wrong("columns", ARGUMENT, "columns: compact must be F32, is I8",
                h -> h.ops.columns(h.packedWide, h.plain(h.downColumns), h.set64, h.x)));
        all.add(wrong("columns", ARGUMENT, "columns: y has 64 columns, needs 32",
                h -> h.ops.columns(h.wide, h.plain(h.downColumns), h.set64, h.wide)));
        all.add(wrong("columns", ARGUMENT, "columns: a set of up to 32 rows where there are 64",
                h -> h.ops.columns(h.wide, h.plain(h.downColumns), h.set32, h.x)));
        all.add(wrong("columns", ARGUMENT, "columns: bias has 64 values, needs 32",
                h -> h.ops.columns(h.wide, new Linear(h.downColumns, h.v64), h.set64, h.x)));
        all.add(wrong("columns", ARGUMENT, "columns: compact and y are one activation",
                h -> h.ops.columns(h.x, h.plain(h.squareColumns), h.set32, h.x)));

        all.add(wrong("sparse ffn", ARGUMENT, "ffn: the weight was placed for [PRODUCT], not for ROWS",
                h -> chosen(h, h.up, h.upRows, h.downColumns, h.wide, h.wide, h.wide)));
        all.add(wrong("sparse ffn", ARGUMENT, "ffn: the gate has 32 rows, up 64",
                h -> chosen(h, h.squareRows, h.upRows, h.downColumns, h.wide, h.wide, h.wide)));
        all.add(wrong("sparse ffn", ARGUMENT, "ffn: the transposed down has 32 rows, up 64",
                h -> chosen(h, h.upRows, h.upRows, h.squareColumns, h.wide, h.wide, h.wide)));
        all.add(wrong("sparse ffn", ARGUMENT, "ffn: gate has 32 columns, needs 64",
                h -> chosen(h, h.upRows, h.upRows, h.downColumns, h.x2, h.wide, h.wide)));
        all.add(wrong("sparse ffn", ARGUMENT, "ffn: up has 32 columns, needs 64",
                h -> chosen(h, h.upRows, h.upRows, h.downColumns, h.wide, h.x2, h.wide)));
        all.add(wrong("sparse ffn", ARGUMENT, "ffn: compact must be F32, is I8",
                h -> chosen(h, h.upRows, h.upRows, h.downColumns, h.wide, h.wide, h.packedWide)));

        all.add(wrong("qkv", ARGUMENT, "qkv: x has 32 columns, needs 64", h -> qkv(h, h.down, h.square, h.square, h.wide, h.x2, h.x2)));
        all.add(wrong("qkv", STATE, "qkv: the weight was not placed here",
                h -> qkv(h, h.up, h.foreignWeight, h.square, h.wide, h.x2, h.x2)));
        all.add(wrong("qkv", ARGUMENT, "qkv: x is packed as F32, the weight takes I8/32",
                h -> qkv(h, h.up, h.square, h.upI8, h.wide, h.x2, h.x2)));
        all.add(wrong("qkv", ARGUMENT, "qkv: outputs of 32, 32, 32 columns for weights of 64, 32, 32",
                h -> qkv(h, h.up, h.square, h.square, h.x2, h.x2, h.x2)));
        all.add(wrong("qkv", ARGUMENT, "qkv: outputs of 64, 64, 32 columns for weights of 64, 32, 32",
                h -> qkv(h, h.up, h.square, h.square, h.wide, h.wide, h.x2)));
        all.add(wrong("qkv", ARGUMENT, "qkv: outputs of 64, 32, 64 columns for weights of 64, 32, 32",
                h -> qkv(h, h.up, h.square, h.square, h.wide, h.x2, h.wide)));
        all.add(wrong("qkv", ARGUMENT, "qkv: k has 64 columns, needs 32", h -> qkv(h, h.up, h.up, h.square, h.wide, h.wide, h.x2)));

        all.add(wrong("ffn", ARGUMENT, "ffn: x has 32 columns, needs 64", h -> ffn(h, h.up, h.down, h.down, h.wide, h.x2, h.wide, h.x)));
        all.add(wrong("ffn", STATE, "ffn: the weight was not placed here",
                h -> ffn(h, h.foreignWeight, h.up, h.down, h.wide, h.wide, h.wide, h.x2)));
        all.add(wrong("ffn", ARGUMENT, "ffn: gate has 32 columns, needs 64", h -> ffn(h, h.up, h.up, h.down, h.x2, h.wide, h.wide, h.x2)));
        all.add(wrong("ffn", ARGUMENT, "ffn: the gate has 32 rows, up 64",
                h -> ffn(h, h.square, h.up, h.down, h.wide, h.wide, h.wide, h.x2)));
        all.add(wrong("ffn", ARGUMENT, "ffn: up has 32 columns, needs 64", h -> ffn(h, h.up, h.up, h.down, h.wide, h.x2, h.wide, h.x2)));
        all.add(wrong("ffn", ARGUMENT, "ffn: down takes 32 columns, up gives 64",
                h -> ffn(h, h.up, h.up, h.square, h.wide, h.wide, h.x, h.x2)));
        all.add(wrong("ffn", ARGUMENT, "ffn: x has 32 columns, needs 64", h -> ffn(h, h.up, h.up, h.down, h.wide, h.wide, h.x2, h.x2)));
        all.add(wrong("ffn", ARGUMENT, "ffn: x is packed as I8/32, the weight takes F32",
                h -> ffn(h, h.up, h.up, h.down, h.wide, h.wide, h.packedWide, h.x2)));
        all.add(wrong("ffn", ARGUMENT, "ffn: delta has 64 columns, needs 32",
                h -> ffn(h, h.up, h.up, h.down, h.wide, h.wide, h.wide, h.wide)));
        all.add(wrong("ffn", ARGUMENT, "ffn: up has 32 columns, needs 64",
                h -> h.ops.ffn(h.x, new Ffn.Plain(h.plain(h.up), h.plain(h.down), Activation.RELU),
                        h.x, h.x2, h.wide, h.x2)));
        return all.stream();
    }

    private static Norm norm(Values gain) {
        return Norm.rms(gain, 1e-5f);
    }

    private static Norm layer(Values gain, Values bias) {
        return new Norm(Norm.Kind.LAYER, gain, bias, 1e-5f);
    }

    private static Attention attention(int headSize, int window, float softCap, int... kvOf) {
        return new Attention(kvOf, headSize, 1, window, softCap);
    }

    private static void append(House h, Act q, Act k, Act v, Rope rope, KvPool kv, int layer) {
        h.ops.ropeAppend(q, k, v, null, rope, kv, layer);
    }

    private static void qkv(House h, Weight wq, Weight wk, Weight wv, Act q, Act k, Act v) {
        h.ops.qkv(h.x, new Qkv(h.plain(wq), h.plain(wk), h.plain(wv)), null, h.rope, h.kv, 0, q, k, v);
    }

    private static void ffn(House h, Weight gate, Weight up, Weight down, Act gated, Act upped, Act hidden, Act delta) {
        h.ops.ffn(h.x, new Ffn.Gated(h.plain(gate), h.plain(up), h.plain(down), Activation.SILU), gated, upped, hidden, delta);
    }

    private static void chosen(House h, Weight gate, Weight up, Weight down, Act gated, Act upped, Act hidden) {
        h.ops.ffn(h.x, new Ffn.Gated(h.plain(gate), h.plain(up), h.plain(down), Activation.SILU), h.set64, gated, upped, hidden, h.x2);
    }

    @ParameterizedTest
    @MethodSource("inside")
    void refusesInsideAStep(Wrong wrong) {
        house.run(house.batch(), () -> check(wrong, house));
    }

    /** Queries that are no whole heads need a width that no head size divides. */
    @Test
    void refusesQueriesThatAreNoWholeHeads() {
        Act odd = house.room.act(33, InputPolicy.F32);
        house.run(house.batch(), () -> check(wrong("rope", ARGUMENT, "q has 33 columns, heads have 16",
                h -> append(h, odd, h.x, h.x2, h.rope, h.kv, 0)), house));
    }

    static Stream<Wrong> outside() {
        List<Wrong> all = new ArrayList<>();
        Set<Use> product = Set.of(Use.PRODUCT);
        all.add(wrong("place", ARGUMENT, "no tensors to place", h -> h.ops.place(List.of(), InputPolicy.F32, product)));
        all.add(wrong("place", ARGUMENT, "is placed for no use",
                h -> h.ops.place(List.of(h.tensor(Format.F32, 1, 1)), InputPolicy.F32, Set.of())));
        all.add(wrong("place", ARGUMENT, "they cannot share an input",
                h -> h.ops.place(List.of(h.tensor(Format.F32, 1, 2), h.tensor(Format.F32, 1, 3)), InputPolicy.F32, product)));
        for (Format f : List.of(Format.F32, Format.F16, Format.BF16)) {
            for (InputPolicy p : List.of(InputPolicy.I8, new InputPolicy(Input.F32, Input.I8), new InputPolicy(Input.I8, Input.F32))) {
                all.add(wrong("place " + f + " " + p, UnsupportedKernelException.class,
                        "float formats take F32 or BF16 activations, not " + p,
                        h -> h.ops.place(List.of(h.tensor(f, 1, 32)), p, product)));
            }
        }
        all.add(wrong("place", ARGUMENT, "a row of 33 is not a whole number of blocks", h -> h.tensor(Format.Q4_0, 1, 33)));
        Set<Use> both = Set.of(Use.ROWS, Use.PRODUCT);
        all.add(wrong("place rows", ARGUMENT, "rows that are gathered lie one by one, which serves no other use",
                h -> h.ops.place(List.of(h.tensor(Format.F32, 1, 32)), InputPolicy.F32, both)));
        all.add(wrong("place columns", UnsupportedKernelException.class, "columns are weighted by F32 activations, not I8/32",
                h -> h.ops.place(List.of(h.tensor(Format.Q8_0, 1, 32)), InputPolicy.I8, Set.of(Use.COLUMNS))));
        all.add(wrong("rowSet", ARGUMENT, "a set of 0 rows", h -> h.room.rowSet(0)));
        all.add(wrong("rowSet", STATE, "this workspace is closed", h -> h.shut.rowSet(1)));
        all.add(wrong("write rows", ARGUMENT, "row 64 in a set of up to 64", h -> h.ops.write(h.set64, new int[]{3, 64})));
        all.add(wrong("write rows", ARGUMENT, "row -1 in a set of up to 64", h -> h.ops.write(h.set64, new int[]{-1})));
        all.add(wrong("write rows", ARGUMENT, "row 5 after row 5: a set's rows rise", h -> h.ops.write(h.set64, new int[]{5, 5})));
        all.add(wrong("write rows", ARGUMENT, "row 4 after row 5: a set's rows rise", h -> h.ops.write(h.set64, new int[]{1, 5, 4})));
        all.add(wrong("write rows", STATE, "not of an open workspace here", h -> h.ops.write(h.goneSet, new int[0])));
        all.add(wrong("read rows", STATE, "not of an open workspace here", h -> h.ops.read(h.goneSet)));
        all.add(wrong("select", STATE, "select outside run()", h -> h.ops.select(h.wide, 0, h.set64)));
        all.add(wrong("rows", STATE, "rows outside run()", h -> h.ops.rows(h.x, h.plain(h.upRows), h.set64, h.wide)));
        all.add(wrong("columns", STATE, "columns outside run()", h -> h.ops.columns(h.wide, h.plain(h.downColumns), h.set64, h.x)));
        all.add(wrong("kv", ARGUMENT, "a cache needs the scrap block and at least one more, not 1", h -> h.ops.kv(h.kv.spec(), 1)));
        all.add(wrong("kv", ARGUMENT, "a cache of heads of 0 values", h -> h.ops.kv(new KvSpec(new int[]{1}, 0, KvType.F32), 2)));
        all.add(wrong("kv", ARGUMENT, "a cache layer of -1 heads", h -> h.ops.kv(new KvSpec(new int[]{1, -1}, 2, KvType.F32), 2)));
        for (int block : new int[]{-1, 5}) {
            String words = "block " + block + " of a cache of 5";
            all.add(wrong("copyBlock from", ARGUMENT, words, h -> h.kv.copyBlock(block, 1)));
            all.add(wrong("copyBlock to", ARGUMENT, words, h -> h.kv.copyBlock(1, block)));
            all.add(wrong("readKeys", ARGUMENT, words, h -> h.kv.readKeys(0, block)));
            all.add(wrong("readValues", ARGUMENT, words, h -> h.kv.readValues(0, block)));
        }
        for (int layer : new int[]{-1, 2}) {
            all.add(wrong("readKeys", ARGUMENT, "layer " + layer + " of a cache of 2 layers", h -> h.kv.readKeys(layer, 1)));
            all.add(wrong("readValues", ARGUMENT, "layer " + layer + " of a cache of 2 layers", h -> h.kv.readValues(layer, 1)));
        }
        all.add(wrong("copyBlock", STATE, "this cache is closed", h -> h.shutKv.copyBlock(1, 2)));
        all.add(wrong("readKeys", STATE, "this cache is closed", h -> h.shutKv.readKeys(0, 1)));
        all.add(wrong("readValues", STATE, "this cache is closed", h -> h.shutKv.readValues(0, 1)));
        all.add(wrong("act", ARGUMENT, "an activation of 0 columns", h -> h.room.act(0, InputPolicy.F32)));
        all.add(wrong("logits", ARGUMENT, "a vocabulary of 0", h -> h.room.logits(0)));
        all.add(wrong("topK", ARGUMENT, "the best 0 tokens", h -> h.room.topK(0)));
        all.add(wrong("act", STATE, "this workspace is closed", h -> h.shut.act(1, InputPolicy.F32)));
        all.add(wrong("logits", STATE, "this workspace is closed", h -> h.shut.logits(1)));
        all.add(wrong("topK", STATE, "this workspace is closed", h -> h.shut.topK(1)));
        all.add(wrong("write", ARGUMENT, "33 values into rows of 32", h -> h.ops.write(h.x, new float[33])));
        all.add(wrong("write", ARGUMENT, "160 values into rows of 32, at most 4", h -> h.ops.write(h.x, new float[160])));
        all.add(wrong("write", STATE, "not an activation of an open workspace here", h -> h.ops.write(h.gone, new float[32])));
        all.add(wrong("read", ARGUMENT, "-1 rows of an activation of at most 4", h -> h.ops.read(h.x, -1)));
        all.add(wrong("read", ARGUMENT, "5 rows of an activation of at most 4", h -> h.ops.read(h.x, 5)));
        all.add(wrong("read", STATE, "not an activation of an open workspace here", h -> h.ops.read(h.gone, 1)));
        all.add(wrong("read logits", STATE, "not of an open workspace here", h -> h.ops.read(h.goneLogits)));
        all.add(wrong("read best", STATE, "not of an open workspace here", h -> h.ops.read(h.goneBest)));
        all.add(wrong("linear", STATE, "linear outside run()", h -> h.ops.linear(h.x, h.plain(h.up), h.wide)));
        all.add(wrong("embed", STATE, "embed outside run()", h -> h.ops.embed(Embedding.of(h.embedding), h.x)));
        all.add(wrong("logits", STATE, "logits outside run()", h -> h.ops.logits(h.x, h.plain(h.up), 0, h.logits)));
        all.add(wrong("topK", STATE, "topK outside run()", h -> h.ops.topK(h.logits, 3, h.best)));
        all.add(wrong("run", ARGUMENT, "a step of no rows", h -> {
            Batch b = new Batch(LIMITS);
            b.clear(1);
            h.run(b, () -> h.ops.decisions());
        }));
        all.add(wrong("run", ARGUMENT, "the step is Step[program=0, rows=9",
                h -> h.ops.run(new Step(0, 9, 2, 2, 3), h.batch(), () -> h.ops.decisions())));
        all.add(wrong("close", STATE, "close workspaces and caches first", h -> h.ops.close()));
        return all.stream();
    }

    @ParameterizedTest
    @MethodSource("outside")
    void refusesOutsideAStep(Wrong wrong) {
        check(wrong, house);
    }

    // ---- what a batch may hold

    /** Batches that pass through a good step's key and must not. */
    static Stream<Wrong> batches() {
        return Stream.of(
                wrong("token", ARGUMENT, "row 0 has token 50, the table has 50 rows", h -> h.run(h.batch(50, 3, 2), () -> step(h))),
                wrong("token", ARGUMENT, "row 0 has token -1", h -> h.run(h.batch(-1, 3, 2), () -> step(h))),
                wrong("position", ARGUMENT, "row 0 is at position 40, the table of positions ends at 40",
                        h -> h.run(h.batch(1, 40, 2), () -> step(h))),
                wrong("position", ARGUMENT, "row 0 is at position -1", h -> h.run(h.batch(1, -1, 2), () -> step(h))),
                wrong("block", ARGUMENT, "sequence 1 has block 5, the cache has 5", h -> h.run(h.batch(1, 3, 5), () -> step(h))),
                wrong("block", ARGUMENT, "sequence 1 has block -1", h -> h.run(h.batch(1, 3, -1), () -> step(h))));
    }

    private static void step(House h) {
        h.ops.embed(Embedding.of(h.embedding), h.x);
        h.ops.linear(h.x, h.plain(h.square), h.x2);
        h.ops.linear(h.x, h.plain(h.up), h.wide);
        append(h, h.wide, h.x, h.x2, h.rope, h.kv, 0);
        h.ops.attend(h.wide, h.kv, 0, attention(16, 0, 0, 0, 0, 1, 1), h.packedWide);
    }

    @ParameterizedTest
    @MethodSource("batches")
    void refusesBatchesAtFirstUse(Wrong wrong) {
        check(wrong, house);
        house.run(house.batch(), () -> step(house));
    }

    /** A replay runs no body, so what the recorded one assumes is checked before. */
    @ParameterizedTest
    @MethodSource("batches")
    void refusesBatchesOnReplay(Wrong wrong) {
        FakeDevice device = new FakeDevice(1, false);
        try (House captured = new House(device)) {
            captured.run(captured.batch(), () -> step(captured));
            captured.run(captured.batch(49, 39, 4), () -> step(captured));
            assertEquals(1, device.replays());
            check(wrong, captured);
            assertEquals(1, device.replays());
        }
    }

    @Test
    void refusesABlockTableThatEndsBeforeThePosition() {
        Batch b = new Batch(LIMITS);
        b.clear(1);
        b.addSequence(new int[]{1}, 1);
        b.addRow(0, 32, false);
        check(wrong("run", ARGUMENT, "row 0 is at position 32, its block table has 1 blocks", h -> h.run(b, () -> h.ops.decisions())),
                house);
    }

    @Test
    void refusesToWriteASequenceToTheScrapBlock() {
        Batch b = new Batch(LIMITS);
        b.clear(2);
        b.addSequence(new int[]{1}, 1);
        b.addRow(0, 32, false);
        check(wrong("run", ARGUMENT, "row 0 of a sequence writes to the scrap block", h -> h.run(b, () -> h.ops.decisions())), house);
    }

    /** Attention alone, without the append whose check would hide its own. */
    @Test
    void attentionBoundsBlocks() {
        house.run(house.batch(1, 3, 5), () -> check(wrong("attend", ARGUMENT, "sequence 1 has block 5, the cache has 5",
                h -> h.ops.attend(h.x, h.kv, 0, attention(16, 0, 0, 0, 1), h.x2)), house));
    }

    /** Without rotation there is no table that could end. */
    @Test
    void noRotationBoundsNoPosition() {
        Rope still = new Rope(house.v16, 0, 16, false);
        assertDoesNotThrow(() -> house.run(house.batch(1, 80, 2), () -> append(house, house.wide, house.x, house.x2, still, house.kv, 0)));
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2})
    void refusesStepsLargerThanTheWorkspace(int which) {
        Batch b = new Batch(new Limits(1, 2, 2, 2));
        b.clear(which == 1 ? 2 : 1);
        b.addSequence(new int[]{1}, 1);
        if (which == 2) b.addSequence(new int[]{2}, 1);
        b.addRow(0, 0, false);
        Runnable body = () -> house.ops.embed(Embedding.of(house.embedding), house.tiny);
        if (which == 0) {
            assertDoesNotThrow(() -> house.run(b, body));
        } else {
            check(wrong("act", ARGUMENT, "the workspace of x has room for 1 of 1", h -> h.run(b, body)), house);
        }
    }

    @Test
    void refusesMoreLogitRowsThanThereIsRoomFor() {
        Limits limits = new Limits(3, 1, 3, 1);
        try (Workspace narrow = house.ops.workspace(new Limits(3, 1, 2, 1)); Workspace broad = house.ops.workspace(limits)) {
            Logits two = narrow.logits(64);
            Logits three = broad.logits(64);
            TopK bestTwo = narrow.topK(3);
            TopK bestThree = broad.topK(3);
            Batch b = new Batch(limits);
            b.clear(1);
            b.addSequence(new int[]{1}, 1);
            for (int r = 0; r < 3; r++) b.addRow(0, r, true);
            house.run(b, () -> {
                check(wrong("logits", ARGUMENT, "logits: 3 rows ask, there is room for 2", h -> h.ops.logits(h.x, h.plain(h.up), 0, two)),
                        house);
                check(wrong("topK", ARGUMENT, "topK: 3 rows ask, there is room for 2", h -> h.ops.topK(two, 3, bestThree)), house);
                check(wrong("topK", ARGUMENT, "topK: 3 rows ask, there is room for 2", h -> h.ops.topK(three, 3, bestTwo)), house);
                house.ops.logits(house.x, house.plain(house.up), 0, three);
                house.ops.topK(three, 3, bestThree);
            });
        }
    }

    @Test
    void refusesMoreThanTheVocabulary() {
        Logits few = house.room.logits(2);
        house.run(house.batch(), () -> check(wrong("topK", ARGUMENT, "the best 3 of 2 tokens", h -> h.ops.topK(few, 3, h.best)), house));
    }

    // ---- life

    @Test
    void refusesEverythingAfterClose() {
        CheckedOps ops = new CheckedOps(new ReferenceOps(1));
        Workspace room = ops.workspace(LIMITS);
        Act x = room.act(32, InputPolicy.F32);
        KvPool pool = ops.kv(new KvSpec(new int[]{1}, 2, KvType.F32), 2);
        assertEquals(3, ops.openOperands(), "a workspace, an activation, a cache");
        check(wrong("close", STATE, "3 operands are open", h -> ops.close()), house);
        room.close();
        check(wrong("close", STATE, "1 operands are open", h -> ops.close()), house);
        pool.close();
        assertEquals(0, ops.openOperands());
        ops.close();
        room.close();
        pool.close();
        ops.close();
        String words = "these kernels are closed";
        for (Wrong w : List.of(wrong("place", STATE, words, h -> ops.place(List.of(), InputPolicy.F32, Set.of())),
                wrong("values", STATE, words, h -> ops.values(new float[1])), wrong("kv", STATE, words, h -> ops.kv(pool.spec(), 2)),
                wrong("workspace", STATE, words, h -> ops.workspace(LIMITS)),
                wrong("write", STATE, words, h -> ops.write(x, new float[32])),
                wrong("read", STATE, words, h -> ops.read(x, 1)), wrong("read", STATE, words, h -> ops.read(h.logits)),
                wrong("read", STATE, words, h -> ops.read(h.best)), wrong("act", STATE, words, h -> room.act(1, InputPolicy.F32)),
                wrong("run", STATE, words, h -> ops.run(Step.of(0, h.batch()), h.batch(), () -> h.ops.decisions())))) {
            check(w, house);
        }
    }

    /** A workspace without operands is still to be closed first: its scratch belongs to the kernels. */
    @Test
    void anEmptyWorkspaceIsOpen() {
        CheckedOps ops = new CheckedOps(new ReferenceOps(1));
        Workspace room = ops.workspace(LIMITS);
        assertThrows(IllegalStateException.class, ops::close);
        room.close();
        ops.close();
    }

    /** The bounds of a closed model's tables do not bind the next one. */
    @Test
    void closingForgetsBounds() {
        house.run(house.batch(), () -> step(house));
        Wrong tooLarge = wrong("token", ARGUMENT, "row 0 has token 60, the table has 50 rows",
                h -> h.run(h.batch(60, 3, 2), () -> h.ops.decisions()));
        check(tooLarge, house);
        house.ops.workspace(LIMITS).close();
        assertDoesNotThrow(() -> house.run(house.batch(60, 3, 2), () -> house.ops.decisions()));
        house.run(house.batch(), () -> step(house));
        check(tooLarge, house);
        house.ops.kv(house.kv.spec(), 2).close();
        assertDoesNotThrow(() -> house.run(house.batch(60, 3, 2), () -> house.ops.decisions()));
    }

    @Test
    void refusesTwoThreadsAtOnce() throws InterruptedException, ExecutionException {
        CountDownLatch inside = new CountDownLatch(1);
        CountDownLatch leave = new CountDownLatch(1);
        try (ExecutorService other = Executors.newSingleThreadExecutor()) {
            Future<?> first = other.submit(() -> house.run(house.batch(), () -> {
                inside.countDown();
                try {
                    assertTrue(leave.await(30, TimeUnit.SECONDS));
                } catch (InterruptedException e) {
                    throw new IllegalStateException(e);
                }
            }));
            assertTrue(inside.await(30, TimeUnit.SECONDS));
            try {
                check(wrong("run", STATE, "two steps at once: one engine loop touches tensors",
                        h -> h.run(h.batch(), () -> h.ops.decisions())), house);
            } finally {
                leave.countDown();
            }
            first.get();
        }
        house.run(house.batch(), () -> step(house));
    }

    /** A step that failed is over. */
    @Test
    void aFailedStepEnds() {
        assertThrows(ArithmeticException.class, () -> house.run(house.batch(), () -> {
            throw new ArithmeticException("planted");
        }));
        house.ops.write(house.x, new float[32]);
        house.run(house.batch(), () -> step(house));
    }
}
