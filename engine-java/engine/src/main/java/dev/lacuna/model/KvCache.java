package dev.lacuna.model;

import dev.lacuna.ops.KvSpec;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Who owns which block of the cache: integers only, never a byte. Sequences share the blocks of a common prefix through a tree whose nodes are blocks
 * (a radix tree with blocks for edges); a block that is only partly shared is copied before it is written. Blocks that nobody uses stay in the tree
 * until room is needed and the longest unused leaf goes. Block 0 is the scrap block of padding rows and is never handed out.
 *
 * <p>Not thread-safe: it belongs to the engine loop.
 */
public final class KvCache {
    private static final int BLOCK = KvSpec.BLOCK;

    private final int blocks;
    private final ArrayDeque<Integer> free = new ArrayDeque<>();
    private final Map<String, Node> roots = new HashMap<>();
    private final List<Node> nodes = new ArrayList<>();
    private final Copier copier;
    private int reserved;
    private long clock;

    /** Copies the bytes of a block. */
    public interface Copier {
        void copy(int from, int to);
    }

    /** A block whose contents are known and no longer change. */
    private static final class Node {
        final @Nullable Node parent;
        final int[] tokens; // 1 to BLOCK; only full ones have children
        final int block;
        final Map<Key, Node> children = new HashMap<>();
        int users;
        long lastUse;

        Node(@Nullable Node parent, int[] tokens, int block) {
            this.parent = parent;
            this.tokens = tokens;
            this.block = block;
        }
    }

    /** Tokens by value; the tree compares them all, so equal hashes never mix two prefixes. */
    private record Key(int[] tokens) {
        @Override
        public boolean equals(Object o) {
            return o instanceof Key k && Arrays.equals(tokens, k.tokens);
        }

        @Override
        public int hashCode() {
            return Arrays.hashCode(tokens);
        }
    }

    /**
     * @param blocks blocks of the pool, the scrap block included
     */
    public KvCache(int blocks, Copier copier) {
        if (blocks < 2) throw new IllegalArgumentException("a cache needs the scrap block and at least one more, not " + blocks);
        this.blocks = blocks;
        this.copier = copier;
        for (int b = 1; b < blocks; b++) free.add(b);
    }

    /** A sequence's place in the cache: its tokens and the blocks that hold them. */
    public final class Sequence {
        private final Node root;
        private final List<Node> shared = new ArrayList<>(); // full blocks, from the tree
        private int[] table = new int[4];
        private int tableSize;
        private int[] tokens = new int[BLOCK];
        private int length;
        private int cached;
        private int unused; // blocks reserved and not yet taken
        private boolean released;

        private Sequence(Node root) {
            this.root = root;
        }

        /** Tokens whose keys and values are in the cache, or will be after the step that is being built. */
        public int length() {
            return length;
        }

        /** How many of the first tokens were found in the cache. */
        public int cachedTokens() {
            return cached;
        }

        /** Block numbers; the first {@link #blocks} are valid. */
        public int[] table() {
            return table;
        }

        public int blocks() {
            return tableSize;
        }

        /** Makes room for one more token and returns its position. */
        public int append(int token) {
            if (released) throw new IllegalStateException("this sequence was released");
            if (length % BLOCK == 0) {
                if (unused == 0) throw new IllegalStateException("a sequence outgrew the blocks that were reserved for it");
                unused--;
                reserved--;
                add(take());
            }
            if (length == tokens.length) tokens = Arrays.copyOf(tokens, 2 * length);
            tokens[length] = token;
            return length++;
        }

        private void add(int block) {
            if (tableSize == table.length) table = Arrays.copyOf(table, 2 * tableSize);
            table[tableSize++] = block;
        }

        /** Gives blocks that are full to the tree, after the step that filled them has run, so that others can share them already. */
        public void commit() {
            while ((shared.size() + 1) * BLOCK <= length) share((shared.size() + 1) * BLOCK);
        }

        /** Gives the block that ends at {@code end} to the tree; where the tree has an equal one, that one is used and this one freed. */
        private void share(int end) {
            int at = shared.size();
            Node parent = at == 0 ? root : shared.get(at - 1);
            Key key = new Key(Arrays.copyOfRange(tokens, at * BLOCK, end));
            Node node = parent.children.get(key);
            if (node == null) {
                node = new Node(parent, key.tokens, table[at]);
                parent.children.put(key, node);
                nodes.add(node);
            } else {
                free.add(table[at]);
                table[at] = node.block;
            }
            use(node);
            shared.add(node);
        }

        /** Ends the sequence; what it computed stays in the tree for others until room is needed. */
        public void release() {
            if (released) return;
            released = true;
            commit();
            if (length % BLOCK != 0) share(length);
            leave();
            reserved -= unused;
            unused = 0;
        }

        private void leave() {
            for (Node n : shared) {
                n.users--;
                n.lastUse = ++clock;
            }
        }

        /** Ends the sequence and forgets what it was computing, after a step that failed half-way. */
        public void discard() {
            if (released) return;
            released = true;
            for (int b = shared.size(); b < tableSize; b++) free.add(table[b]);
            leave();
            reserved -= unused;
            unused = 0;
        }
    }

    private void use(Node n) {
        n.users++;
        n.lastUse = ++clock;
    }

    /**
     * Begins a sequence on the longest cached prefix of {@code prompt}, the last token excepted, which is always computed anew for its logits.
     *
     * @param positions the most tokens that it will ever have; blocks for them are reserved
     * @return null while the blocks are in use by others
     * @throws IllegalArgumentException if they could never fit
     */
    public @Nullable Sequence open(int[] prompt, int positions) {
        return open(prompt, positions, "");
    }

    /**
     * The same for one of several who must not learn of each other's prefixes, be it by the time that a prompt takes.
     *
     * @param namespace prefixes are found only where it is equal; each stays known for good
     */
    public @Nullable Sequence open(int[] prompt, int positions, String namespace) {
        int need = KvSpec.blocksFor(Math.max(positions, prompt.length));
        if (need > blocks - 1)
            throw new IllegalArgumentException(positions + " positions need " + need + " cache blocks, there are " + (blocks - 1));
        Sequence s = new Sequence(roots.computeIfAbsent(namespace, _ -> new Node(null, new int[0], 0)));
        Node at = s.root;
        while ((s.shared.size() + 1) * BLOCK < prompt.length) {
            int from = s.shared.size() * BLOCK;
            Node next = at.children.get(new Key(Arrays.copyOfRange(prompt, from, from + BLOCK)));
            if (next == null) break;
            use(next);
            s.shared.add(next);
            s.add(next.block);
            at = next;
        }
        int fresh = need - s.shared.size();
        if (free.size() + evictable() - reserved < fresh) {
            for (Node n : s.shared) n.users--;
            return null;
        }
        s.unused = fresh;
        reserved += fresh;
        s.length = s.shared.size() * BLOCK;
        if (prompt.length > s.tokens.length) s.tokens = new int[prompt.length];
        System.arraycopy(prompt, 0, s.tokens, 0, s.length);
        copyPartial(s, at, prompt);
        s.cached = s.length;
        return s;
    }

    /** Of the blocks behind {@code at}, copies the one that begins with most of the next tokens; its tail will be overwritten. */
    private void copyPartial(Sequence s, Node at, int[] prompt) {
        int from = s.length;
        Node best = null;
        int most = 0;
        for (Node child : at.children.values()) {
            int end = Math.min(child.tokens.length, prompt.length - 1 - from);
            int same = Arrays.mismatch(child.tokens, 0, end, prompt, from, from + end);
            if (same < 0) same = end;
            if (same > most) {
                best = child;
                most = same;
            }
        }
        if (best == null) return;
        if (free.isEmpty() && evictable() == 1) {
            // the only block there is: used as it is instead of copied
            remove(best);
            free.add(best.block);
            for (int i = 0; i < most; i++) s.append(prompt[from + i]);
            return;
        }
        use(best); // not to be evicted by its own copy
        for (int i = 0; i < most; i++) s.append(prompt[from + i]);
        best.users--;
        copier.copy(best.block, s.table[s.tableSize - 1]);
    }

    /** A block to write: a free one, or that of the leaf that was unused longest. */
    private int take() {
        Integer block = free.poll();
        if (block != null) return block;
        Node oldest = null;
        for (Node n : nodes) {
            if (n.users == 0 && n.children.isEmpty() && (oldest == null || n.lastUse < oldest.lastUse)) oldest = n;
        }
        if (oldest == null) throw new IllegalStateException("no block is free though one was reserved");
        remove(oldest);
        return oldest.block;
    }

    private void remove(Node n) {
        if (n.parent != null) n.parent.children.remove(new Key(n.tokens));
        nodes.remove(n);
    }

    /** Nodes that nobody uses; users hold all ancestors of their blocks, so these go leaf by leaf. */
    private int evictable() {
        int n = 0;
        for (Node node : nodes) {
            if (node.users == 0) n++;
        }
        return n;
    }

    /** Blocks that running sequences hold or have reserved. */
    public int inUse() {
        return blocks - 1 - free.size() - evictable() + reserved;
    }

    /** Blocks that hold a prefix nobody uses just now. */
    public int idle() {
        return evictable();
    }

    public int capacity() {
        return blocks - 1;
    }

    /** Forgets all prefixes that nobody uses. */
    public void forget() {
        for (Node n : List.copyOf(nodes).reversed()) {
            if (n.users == 0) {
                remove(n);
                free.add(n.block);
            }
        }
    }
}
