#include "core/kernels/kernels.h"

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
    return esp_fail(err, ESP_ERROR_UNSUPPORTED,
                    "there are no kernels called \"%s\"; there are auto, openblas and plain", name);
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
