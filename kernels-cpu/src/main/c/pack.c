// From rows as files pack them to tiles of 16 rows, word by word: see formats.h.
#include "formats.h"

#define NIBBLES 0x0f0f0f0fu

static uint32_t word(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static void put(uint8_t *codes, int i, int lane, uint32_t v) { memcpy(codes + 64 * i + 4 * lane, &v, sizeof v); }

static void put_half(uint8_t *to, int lane, const uint8_t *from) { memcpy(to + 2 * lane, from, 2); }

/** 16 bytes of which the low halves are columns 0 .. 15: already the words of a tile. */
static void nibbles(const uint8_t *q, uint8_t *codes, int lane) {
    for (int i = 0; i < 4; i++) put(codes, i, lane, word(q + 4 * i));
}

/** Signed bytes, from -128 upwards. */
static void bytes(const uint8_t *q, int n, uint8_t *codes, int lane) {
    for (int i = 0; i < 8; i++) {
        uint32_t v = 0;
        if (4 * i + 4 <= n) v = word(q + 4 * i);
        else if (4 * i < n) memcpy(&v, q + 4 * i, (size_t)(n - 4 * i));
        put(codes, i, lane, v ^ 0x80808080u);
    }
}

/** Bit c of h is the fifth bit of column c. */
static void fifth(uint32_t h, uint8_t *codes, int lane) {
    uint32_t v = 0;
    for (int c = 0; c < 32; c++) v |= (h >> c & 1) << (8 * (c % 4) + c / 4);
    put(codes, 4, lane, v);
}

/** Scale (which 0) or minimum (4) of sub-block j, 6 bits each in 12 bytes: those of 4 to 7 have their upper bits in the bytes of 0 to 3. */
static uint8_t six_bits(const uint8_t *s, int j, int which) {
    uint8_t own = s[which + j % 4];
    return j < 4 ? own & 63 : (uint8_t)((s[8 + j % 4] >> which & 15) | (own & 0xc0) >> 2);
}

/** Low and high words as the halves of bytes. */
static uint32_t halves(uint32_t low, uint32_t high) { return (low & NIBBLES) | (high & NIBBLES) << 4; }

static void super_block(int f, const uint8_t *s, uint8_t *to, int lane) {
    int block_size = block_header(f) + code_bytes(f);
    if (f == Q6_K) {
        put_half(to, lane, s + 208);
        for (int b = 0; b < 8; b++) {
            uint8_t *p = to + 32 + b * block_size;
            p[lane] = s[192 + 2 * b];
            p[16 + lane] = s[192 + 2 * b + 1];
            // half of 128 columns: 64 bytes of low halves, 32 of pairs of upper bits
            const uint8_t *low = s + b / 4 * 64 + b % 2 * 32;
            const uint8_t *up = s + 128 + b / 4 * 32;
            int at = b % 4 / 2 * 4;
            int up_at = b % 4 * 2;
            for (int i = 0; i < 4; i++) put(p + 32, i, lane, halves(word(low + 4 * i) >> at, word(low + 16 + 4 * i) >> at));
            for (int h = 0; h < 2; h++) {
                uint32_t v = 0;
                for (int i = 0; i < 4; i++) v |= (word(up + 16 * h + 4 * i) >> up_at & 0x03030303u) << 2 * i;
                put(p + 32, 4 + h, lane, v);
            }
        }
        return;
    }
    put_half(to, lane, s);
    put_half(to + 32, lane, s + 2);
    const uint8_t *q = f == Q4_K ? s + 16 : s + 48;
    for (int b = 0; b < 8; b++) {
        uint8_t *p = to + 64 + b * block_size;
        p[lane] = six_bits(s + 4, b, 0);
        p[16 + lane] = six_bits(s + 4, b, 4);
        const uint8_t *low = q + b / 2 * 32;
        int at = b % 2 * 4;
        for (int i = 0; i < 4; i++) put(p + 32, i, lane, halves(word(low + 4 * i) >> at, word(low + 16 + 4 * i) >> at));
        if (f == Q5_K) {
            uint32_t v = 0;
            for (int i = 0; i < 8; i++) v |= (word(s + 16 + 4 * i) >> b & 0x01010101u) << i;
            put(p + 32, 4, lane, v);
        }
    }
}

static void row(const struct weight *w, const uint8_t *s, uint8_t *tile, int lane) {
    int f = (int)w->format;
    int group = (int)w->group;
    int64_t cols = w->cols;
    if (is_float(f)) {
        int size = f == F32 ? 4 : 2;
        for (int64_t c = 0; c < cols; c++) memcpy(tile + (c * LANES + lane) * size, s + c * size, (size_t)size);
        return;
    }
    if (f == I8_ROW) {
        memcpy(tile + 4 * lane, s, 4);
        for (int64_t c = 0; c < cols; c += 32) bytes(s + 4 + c, cols - c < 32 ? (int)(cols - c) : 32, tile + 64 + c / 32 * 512, lane);
        return;
    }
    int64_t size = run_bytes(f, group);
    for (int64_t b = 0; b < cols / run(f, group); b++) {
        uint8_t *to = tile + b * size;
        switch (f) {
        case Q8_0:
            put_half(to, lane, s + b * 34);
            bytes(s + b * 34 + 2, 32, to + 32, lane);
            break;
        case Q4_0:
            put_half(to, lane, s + b * 18);
            nibbles(s + b * 18 + 2, to + 32, lane);
            break;
        case Q4_1:
            put_half(to, lane, s + b * 20);
            put_half(to + 32, lane, s + b * 20 + 2);
            nibbles(s + b * 20 + 4, to + 64, lane);
            break;
        case Q5_0:
            put_half(to, lane, s + b * 22);
            fifth(word(s + b * 22 + 2), to + 32, lane);
            nibbles(s + b * 22 + 6, to + 32, lane);
            break;
        case Q5_1:
            put_half(to, lane, s + b * 24);
            put_half(to + 32, lane, s + b * 24 + 2);
            fifth(word(s + b * 24 + 4), to + 64, lane);
            nibbles(s + b * 24 + 8, to + 64, lane);
            break;
        case Q4_K: super_block(f, s + b * 144, to, lane); break;
        case Q5_K: super_block(f, s + b * 176, to, lane); break;
        case Q6_K: super_block(f, s + b * 210, to, lane); break;
        default: {
            int bits = f == I4_GROUP ? 4 : 8;
            const uint8_t *g = s + b * (5 + group * bits / 8);
            memcpy(to + 4 * lane, g, 4);
            to[64 + lane] = g[4];
            for (int i = 0; i < group / 32; i++) {
                if (f == I4_GROUP) nibbles(g + 5 + 16 * i, to + 80 + 256 * i, lane);
                else bytes(g + 5 + 32 * i, 32, to + 80 + 512 * i, lane);
            }
        }
        }
    }
}

/** One row of a sparse format, word after word. */
typedef struct {
    const uint8_t *masks, *next;
} sparse_row;

static int64_t value_bytes(int bits, uint64_t mask) { return (_mm_popcnt_u64(mask) * bits + 7) / 8; }

/** Stored value i as it lies in a tile. */
static uint8_t value(int bits, const uint8_t *values, int64_t i) {
    return bits == 8 ? values[i] : (uint8_t)((values[i / 2] >> 4 * (i % 2) & 15) ^ 8);
}

/** Packs a tile of a sparse format, or, where to is null, finds what it would take; returns its bytes. */
static int64_t sparse_tile(const struct pack_args *a, int64_t tile, uint8_t *to) {
    const struct weight *w = &a->w;
    int f = (int)w->format, bits = shift(f) + 1, n = w->rows - tile * LANES < LANES ? (int)(w->rows - tile * LANES) : LANES;
    int64_t group = has_row_scale(f) ? 64 : w->group, table = has_row_scale(f) ? 64 : 0;
    int64_t cols = (w->cols + group - 1) / group * group, at = table + (is_bitmask(f) ? cols / BLOCK * 4 : 0);
    sparse_row row[LANES];
    for (int lane = 0; lane < n; lane++) {
        int64_t offset = (tile * LANES + lane) * a->source_bytes;
        if (!a->source_bytes) memcpy(&offset, a->source + (tile * LANES + lane) * 8, 8);
        row[lane].next = a->source + offset;
        if (!has_row_scale(f)) continue;
        if (to) memcpy(to + 4 * lane, row[lane].next, 4);
        row[lane].next += 4;
    }
    for (int64_t word = 0; word < cols; word += 64) {
        uint64_t m[LANES] = { 0 };
        const uint8_t *values[LANES];
        for (int lane = 0; lane < n; lane++) {
            if (word % group == 0) {
                if (!has_row_scale(f)) {
                    if (to) memcpy(to + at + 4 * lane, row[lane].next, 4);
                    row[lane].next += 4;
                }
                row[lane].masks = row[lane].next;
                row[lane].next += group / 8;
            }
            memcpy(&m[lane], row[lane].masks + word % group / 8, 8);
            values[lane] = row[lane].next;
            row[lane].next += value_bytes(bits, m[lane]);
        }
        if (word % group == 0 && !has_row_scale(f)) at += 64;
        for (int c = 0; c < 64; c += BLOCK) {
            uint32_t begin = (uint32_t)at;
            if (to && is_bitmask(f)) memcpy(to + table + (word + c) / BLOCK * 4, &begin, 4);
            int64_t next = at + 64;
            for (int i = 0; i < 8; i++) {
                uint64_t mask = 0;
                uint8_t *codes = to ? to + next : 0;
                int64_t stored = 0;
                for (int lane = 0; lane < n; lane++) mask |= (m[lane] >> (c + 4 * i) & 15) << 4 * lane;
                if (to) memcpy(to + at + 8 * i, &mask, 8);
                for (int lane = 0; to && lane < n; lane++) {
                    for (int y = c + 4 * i; y < c + 4 * i + 4; y++) {
                        if (!(m[lane] >> y & 1)) continue;
                        uint8_t v = value(bits, values[lane], _mm_popcnt_u64(m[lane] & ((1ull << y) - 1)));
                        switch (f) {
                        case I4_24: to[at + 64 + 32 * (i % 4) + stored] |= (uint8_t)(v << (i < 4 ? 0 : 4)); break;
                        case I4_BITMASK: codes[stored / 2] |= (uint8_t)(v << 4 * (stored % 2)); break;
                        default: codes[stored] = v;
                        }
                        stored++;
                    }
                }
                next += is_bitmask(f) ? value_bytes(bits, mask) : 32;
            }
            at = is_bitmask(f) ? next : at + code_bytes(f);
        }
    }
    return at;
}

/** Parts are tiles. Rows past the end are left as they are: zeros. */
int32_t KERNEL(pack)(const void *arguments, int64_t from, int64_t to, void *scratch) {
    const struct pack_args *a = arguments;
    (void)scratch;
    if (a->w.format < 0 || a->w.format >= FORMATS) return BAD_FORMAT;
    for (int64_t t = from; t < to; t++) {
        if (is_sparse((int)a->w.format)) {
            if (a->to) {
                sparse_tile(a, t, a->to + (tile_at(&a->w, t) - a->w.data));
            } else {
                int64_t bytes = sparse_tile(a, t, 0);
                memcpy((uint8_t *)(uintptr_t)a->w.data + 8 * t, &bytes, sizeof bytes);
            }
            continue;
        }
        for (int lane = 0; lane < LANES && t * LANES + lane < a->w.rows; lane++) {
            row(&a->w, a->source + (t * LANES + lane) * a->source_bytes, a->to + t * a->w.tile_bytes, lane);
        }
    }
    return OK;
}

