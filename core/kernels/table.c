#include "core/kernels/kernels.h"

#include <stdio.h>
#include <string.h>

/* Best first; plain C, which runs everywhere, last. */
static const struct esp_kernels *const table[] = {&esp_kernels_openblas, &esp_kernels_plain};

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

enum esp_status esp_kernels_find(const struct esp_kernels **kernels, const char *name, struct esp_error *err)
{
    for (size_t i = 0; i < ROWS; i++) {
        bool wanted = strcmp(name, "auto") == 0 || strcmp(name, table[i]->name) == 0;
        if (wanted && table[i]->supported()) {
            *kernels = table[i];
            if (table[i]->start)
                table[i]->start();
            return ESP_OK;
        }
        if (wanted && strcmp(name, "auto") != 0)
            return esp_fail(err, ESP_ERROR_UNSUPPORTED, "the kernels \"%s\" need a CPU that this machine does not have",
                            name);
    }
    return unknown(name, err);
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
    return same_groups && !memcmp(&a->in, &b->in, sizeof a->in) && !memcmp(&a->window, &b->window, sizeof a->window);
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
