#include "core/kernels/kernels.h"

#include <stdio.h>
#include <string.h>

/* The fastest first; plain C, which runs everywhere, last. */
static const struct esp_kernels *const table[] = {
#ifdef ESP_KERNELS_X86
    &esp_kernels_amx_bf16, &esp_kernels_avx512_bf16, &esp_kernels_avx512, &esp_kernels_avx2,
#endif
    &esp_kernels_openblas, &esp_kernels_plain};

enum { ROWS = sizeof table / sizeof *table };

const char *const *esp_kernels_names(void)
{
    static _Thread_local const char *names[ROWS + 1];
    size_t count = 0;

    for (size_t i = 0; i < ROWS; i++)
        if (table[i]->supported())
            names[count++] = table[i]->name;
    names[count] = NULL;
    return names;
}

/* The message lists what the table has. */
static enum esp_status unknown(const char *name, struct esp_error *err)
{
    char names[ROWS * 32] = "auto";
    size_t used = strlen(names);

    for (size_t i = 0; i < ROWS; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, ", %.24s", table[i]->name);
    return esp_fail(err, ESP_ERROR_UNSUPPORTED, "there are no kernels called \"%.64s\"; there are %s", name, names);
}

/* Whether "auto" may choose the set for this precision. */
static bool suits(const struct esp_kernels *kernels, enum esp_precision precision)
{
    if (precision != ESP_PRECISION_AUTO)
        return kernels->precision == precision;
    return kernels->precision == ESP_PRECISION_FP32 || kernels->fast_bf16;
}

static enum esp_status choose(const struct esp_kernels **kernels, enum esp_precision precision, struct esp_error *err)
{
    for (size_t i = 0; i < ROWS; i++)
        if (suits(table[i], precision) && table[i]->supported()) {
            *kernels = table[i];
            return ESP_OK;
        }
    return esp_fail(err, ESP_ERROR_UNSUPPORTED,
                    "this CPU has no BF16 products (AMX or AVX512_BF16): the precision has to be fp32 or auto");
}

static enum esp_status find_named(const struct esp_kernels **kernels, const char *name, enum esp_precision precision,
                                  struct esp_error *err)
{
    size_t i = 0;

    while (i < ROWS && strcmp(name, table[i]->name) != 0)
        i++;
    if (i == ROWS)
        return unknown(name, err);
    *kernels = table[i];
    if (precision != ESP_PRECISION_AUTO && precision != table[i]->precision)
        return esp_fail(err, ESP_ERROR_UNSUPPORTED, "the kernels \"%s\" compute in %s; name others, or leave one away",
                        name, precision == ESP_PRECISION_FP32 ? "bf16, not fp32" : "fp32, not bf16");
    return table[i]->supported()
               ? ESP_OK
               : esp_fail(err, ESP_ERROR_UNSUPPORTED, "the kernels \"%s\" need a CPU that this machine does not have",
                          name);
}

enum esp_status esp_kernels_find(const struct esp_kernels **kernels, const char *name, enum esp_precision precision,
                                 struct esp_error *err)
{
    enum esp_status status = strcmp(name, "auto") == 0 ? choose(kernels, precision, err)
                                                       : find_named(kernels, name, precision, err);
    if (status == ESP_OK && (*kernels)->start)
        (*kernels)->start();
    return status;
}

uint64_t esp_conv_weights(const struct esp_conv *conv)
{
    return (uint64_t)conv->out.channels * (conv->in.channels / conv->groups) * conv->window.kernel_h *
           conv->window.kernel_w;
}

uint64_t esp_conv_macs(const struct esp_conv *conv)
{
    return esp_conv_weights(conv) * conv->out.height * conv->out.width;
}

bool esp_conv_shares_patches(const struct esp_conv *a, const struct esp_conv *b)
{
    bool same_groups = a->groups == b->groups && (a->groups == 1 || a->out.channels == b->out.channels);
    return a->exact == b->exact && same_groups && !memcmp(&a->in, &b->in, sizeof a->in) && !memcmp(&a->window, &b->window, sizeof a->window);
}

size_t esp_conv_no_patches(const struct esp_conv *conv)
{
    (void)conv;
    return 0;
}

size_t esp_conv_plain_bytes(const struct esp_conv *conv)
{
    return (size_t)esp_conv_weights(conv) * sizeof(float);
}

void esp_conv_plain_pack(const struct esp_conv *conv, const float *weights, void *packed)
{
    memcpy(packed, weights, esp_conv_plain_bytes(conv));
}
