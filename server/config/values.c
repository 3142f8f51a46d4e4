#include "server/config/values.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SPELT_MAX = 128 };

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

static bool is_one_of(const char *text, const char *words)
{
    size_t length = strlen(text);

    for (const char *word = words;; word++) {
        size_t end = strcspn(word, "|");
        if (end == length && memcmp(word, text, length) == 0)
            return true;
        word += end;
        if (!*word)
            return false;
    }
}

/* "a|b|c" is spelt "a, b or c". */
static void spell(const char *words, char spelt[SPELT_MAX])
{
    const char *last = strrchr(words, '|');
    size_t length = 0;

    for (const char *at = words; *at && length < SPELT_MAX - 5; at++) {
        const char *glue = at == last ? " or " : ", ";
        if (*at == '|')
            length += (size_t)snprintf(spelt + length, SPELT_MAX - length, "%s", glue);
        else
            spelt[length++] = *at;
    }
    spelt[length] = '\0';
}

enum esp_status value_choice(const char *said, const char *text, const char *words, struct esp_error *err)
{
    char spelt[SPELT_MAX];

    if (is_one_of(text, words))
        return ESP_OK;
    spell(words, spelt);
    return esp_fail(err, ESP_ERROR_ARGUMENT, "%s is '%.64s'; give %s", said, text, spelt);
}

static bool is_visible(const char *text)
{
    while (*text > 0x20 && *text < 0x7f)
        text++;
    return *text == '\0';
}

enum esp_status value_secret(const char *said, const char *text, uint64_t least, uint64_t most, struct esp_error *err)
{
    size_t length = strlen(text);

    if (!is_visible(text))
        return esp_fail(err, ESP_ERROR_ARGUMENT,
                        "%s holds a character that cannot be sent; give letters, digits and signs of ASCII, no spaces",
                        said);
    if (length < least || length > most)
        return esp_fail(err, ESP_ERROR_ARGUMENT,
                        "%s has %zu characters; give %" PRIu64 " to %" PRIu64
                        ", such as those of: openssl rand -hex 32",
                        said, length, least, most);
    return ESP_OK;
}

enum esp_status value_precision(const char *said, const char *text, enum esp_precision *precision,
                                struct esp_error *err)
{
    enum esp_status status = value_choice(said, text, VALUE_PRECISIONS, err);
    if (status != ESP_OK)
        return status;
    *precision = text[0] == 'f' ? ESP_PRECISION_FP32 : text[0] == 'b' ? ESP_PRECISION_BF16 : ESP_PRECISION_AUTO;
    return ESP_OK;
}
