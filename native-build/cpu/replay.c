// Plays recorded calls of kernels (KernelCalls in the tests of kernels-cpu wrote them) to a library that was built with sanitizers: each piece of memory
// comes from malloc, between red zones, and must end with the bytes that the shipped kernels left.
// usage: replay FILE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"

extern int32_t lacuna_runs(int32_t tier);
extern const struct kernels *lacuna_kernels(int32_t tier);

enum { SLOTS = 64, PIECES = 64, NUMBER = -1, SCRATCH = -2, AMX = 3 };

static FILE *file;

static void take(void *to, size_t n) {
    if (fread(to, 1, n, file) != n) {
        fprintf(stderr, "replay: the file ends in the middle of a call\n");
        exit(2);
    }
}

static int32_t take32(void) { int32_t v; take(&v, sizeof v); return v; }
static int64_t take64(void) { int64_t v; take(&v, sizeof v); return v; }

static uint32_t crc32(const uint8_t *p, int64_t n) {
    static uint32_t table[256];
    if (!table[1]) {
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t c = i;
            for (int k = 0; k < 8; k++) c = c & 1 ? 0xEDB88320u ^ (c >> 1) : c >> 1;
            table[i] = c;
        }
    }
    uint32_t c = ~0u;
    for (int64_t i = 0; i < n; i++) c = table[(c ^ p[i]) & 255] ^ (c >> 8);
    return ~c;
}

static uint8_t *piece_of(int64_t n) {
    void *p;
    if (n < 0 || posix_memalign(&p, 64, (size_t)n ? (size_t)n : 1)) {
        fprintf(stderr, "replay: no memory for %lld bytes\n", (long long)n);
        exit(2);
    }
    return p;
}

int main(int count, char **arguments) {
    if (count != 2 || !(file = fopen(arguments[1], "rb"))) {
        fprintf(stderr, "usage: replay FILE\n");
        return 2;
    }
    int64_t calls = 0, skipped = 0;
    for (int c; (c = fgetc(file)) != EOF;) {
        ungetc(c, file);
        int32_t which = take32(), tier = take32();
        int64_t from = take64(), to = take64();
        int32_t slots = take32(), pieces = take32();
        if (slots != SLOTS || pieces < 0 || pieces > PIECES || which < 0 || which >= (int32_t)(sizeof(struct kernels) / sizeof(void *))) {
            fprintf(stderr, "replay: call %lld is not one\n", (long long)calls);
            return 2;
        }
        int32_t piece[SLOTS];
        int64_t value[SLOTS], scratch_bytes;
        for (int i = 0; i < SLOTS; i++) {
            piece[i] = take32();
            value[i] = take64();
        }
        if (take32() != SCRATCH) return 2;
        scratch_bytes = take64();
        uint8_t *memory[PIECES];
        int64_t bytes[PIECES], after[PIECES];
        for (int i = 0; i < pieces; i++) {
            bytes[i] = take64();
            after[i] = take64();
            memory[i] = piece_of(bytes[i]);
            take(memory[i], (size_t)bytes[i]);
        }
        calls++;
        if (lacuna_runs(tier) == 1) {
            uint64_t *filled = (uint64_t *)piece_of(SLOTS * 8);
            for (int i = 0; i < SLOTS; i++) filled[i] = piece[i] == NUMBER ? (uint64_t)value[i] : (uint64_t)(uintptr_t)(memory[piece[i]] + value[i]);
            uint8_t *scratch = piece_of(scratch_bytes);
            memset(scratch, 0xA5, (size_t)scratch_bytes);
            int32_t status = ((kernel *const *)lacuna_kernels(tier))[which](filled, from, to, scratch);
            int wrong = status != 0;
            // the processor's own tiles sum in an order of their own
            for (int i = 0; i < pieces && tier != AMX; i++) wrong |= crc32(memory[i], bytes[i]) != (uint32_t)after[i];
            if (wrong) {
                fprintf(stderr, "replay: call %lld (kernel %d, tier %d) ends with status %d and other bytes than the shipped kernel\n", (long long)calls,
                        which, tier, status);
                return 1;
            }
            free(filled);
            free(scratch);
        } else {
            skipped++;
        }
        for (int i = 0; i < pieces; i++) free(memory[i]);
    }
    if (calls == 0) {
        fprintf(stderr, "replay: no calls in %s\n", arguments[1]);
        return 1;
    }
    printf("sanitizers: nothing found in %lld calls of kernels, %lld skipped\n", (long long)calls, (long long)skipped);
    return 0;
}
