// Runs llama.cpp through its C API, for run.py. One JSON line for each result.
//   llama_driver BACKENDS quantize IN OUT FTYPE
//   llama_driver BACKENDS run MODEL THREADS FLASH PROMPT TOKENS SEQUENCES REPETITIONS     FLASH: 0 off, 1 on
#include "ggml-backend.h"
#include "llama.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void complain(enum ggml_log_level level, const char *text, void *user) {
    (void)user;
    if (level == GGML_LOG_LEVEL_ERROR) fputs(text, stderr);
}

static void die(const char *what) {
    fprintf(stderr, "llama_driver: %s\n", what);
    exit(1);
}

/** The library of CPU kernels that was chosen for this processor. */
static void backend(char *name, size_t size) {
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[4096];
    snprintf(name, size, "unknown");
    while (maps && fgets(line, sizeof line, maps)) {
        char *at = strstr(line, "libggml-cpu");
        if (!at) continue;
        at[strcspn(at, "\n")] = 0;
        snprintf(name, size, "%s", at);
        break;
    }
    if (maps) fclose(maps);
}

static void row(struct llama_batch *b, int token, int position, int sequence, int logits) {
    int i = b->n_tokens++;
    b->token[i] = token;
    b->pos[i] = position;
    b->n_seq_id[i] = 1;
    b->seq_id[i][0] = sequence;
    b->logits[i] = (int8_t)logits;
}

static void decode(struct llama_context *context, struct llama_batch b) {
    if (llama_decode(context, b)) die("llama_decode failed");
    llama_synchronize(context);
}

/** Seconds of a prompt in one batch. */
static double prompt(struct llama_context *context, struct llama_batch *b, int vocabulary, int n) {
    llama_memory_clear(llama_get_memory(context), true);
    double begun = seconds();
    b->n_tokens = 0;
    for (int i = 0; i < n; i++) row(b, rand() % vocabulary, i, 0, i == n - 1);
    decode(context, *b);
    return seconds() - begun;
}

/** Seconds of n steps of several sequences. */
static double generate(struct llama_context *context, struct llama_batch *b, int vocabulary, int sequences, int n) {
    llama_memory_clear(llama_get_memory(context), true);
    double begun = seconds();
    for (int i = 0; i < n; i++) {
        b->n_tokens = 0;
        for (int s = 0; s < sequences; s++) row(b, rand() % vocabulary, i, s, 1);
        decode(context, *b);
    }
    return seconds() - begun;
}

int main(int argc, char **argv) {
    if (argc < 3) die("usage: see the top of llama_driver.c");
    llama_log_set(complain, NULL);
    ggml_backend_load_all_from_path(argv[1]);
    llama_backend_init();
    if (!strcmp(argv[2], "quantize") && argc == 6) {
        struct llama_model_quantize_params q = llama_model_quantize_default_params();
        q.ftype = (enum llama_ftype)atoi(argv[5]);
        return (int)llama_model_quantize(argv[3], argv[4], &q);
    }
    if (strcmp(argv[2], "run") || argc != 10) die("usage: see the top of llama_driver.c");
    int threads = atoi(argv[4]), flash = atoi(argv[5]), pp = atoi(argv[6]), tg = atoi(argv[7]), together = atoi(argv[8]), repetitions = atoi(argv[9]);
    if (threads < 1 || pp < 1 || tg < 1 || together < 1 || repetitions < 1) die("numbers must be positive");

    struct llama_model_params of_model = llama_model_default_params();
    of_model.n_gpu_layers = 0;
    struct llama_model *model = llama_model_load_from_file(argv[3], of_model);
    if (!model) die("the model cannot be loaded");
    struct llama_context_params p = llama_context_default_params();
    int positions = pp > tg * together ? pp : tg * together;
    p.n_ctx = (uint32_t)((positions + 255) / 256 * 256);
    p.n_batch = p.n_ubatch = (uint32_t)(pp > together ? pp : together);
    p.n_seq_max = (uint32_t)together;
    p.n_threads = p.n_threads_batch = threads;
    p.kv_unified = true;
    p.no_perf = true;
    p.flash_attn_type = flash ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
    struct llama_context *context = llama_init_from_model(model, p);
    if (!context) die("there is no context");
    int vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(model));
    struct llama_batch b = llama_batch_init((int32_t)p.n_batch, 0, 1);
    char library[256];
    backend(library, sizeof library);
    for (int r = -1; r < repetitions; r++) { // the first warms up
        double s[] = { pp / prompt(context, &b, vocabulary, pp), tg / generate(context, &b, vocabulary, 1, tg),
                       together > 1 ? (double)tg * together / generate(context, &b, vocabulary, together, tg) : 0 };
        if (r < 0) continue;
        printf("{\"version\":\"%s\",\"library\":\"%s\",\"bytes\":%llu,\"pp%d\":%.4f,\"tg%d\":%.4f", llama_version(), library,
               (unsigned long long)llama_model_size(model), pp, s[0], tg, s[1]);
        if (together > 1) printf(",\"tg%d x%d\":%.4f", tg, together, s[2]);
        puts("}");
    }
    llama_batch_free(b);
    llama_free(context);
    llama_model_free(model);
    return 0;
}
