#include "server/config/values.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Digits only: strtoull alone would take spaces, signs and an empty text. */
static bool parse_number(const char *text, uint64_t *number)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 18 || text[digits] != '\0')
        return false;
    *number = strtoull(text, NULL, 10);
    return true;
}

enum esp_status value_number(const char *said, const char *text, uint64_t least, uint64_t most, uint64_t *number,
                             struct esp_error *err)
{
    if (parse_number(text, number) && *number >= least && *number <= most)
        return ESP_OK;
    return esp_fail(err, ESP_ERROR_ARGUMENT, "%s is '%.64s'; give a whole number from %" PRIu64 " to %" PRIu64, said,
                    text, least, most);
}

enum esp_status value_precision(const char *said, const char *text, enum esp_precision *precision,
                                struct esp_error *err)
{
    static const char *const names[] = {
        [ESP_PRECISION_AUTO] = "auto", [ESP_PRECISION_FP32] = "fp32", [ESP_PRECISION_BF16] = "bf16"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(text, names[i]) == 0) {
            *precision = (enum esp_precision)i;
            return ESP_OK;
        }
    return esp_fail(err, ESP_ERROR_ARGUMENT, "%s is '%.64s'; give fp32, bf16 or auto", said, text);
}
