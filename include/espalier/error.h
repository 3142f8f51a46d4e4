/* What went wrong, in words for the person who has to act on it.
 *
 * Every call that can fail returns an esp_status and takes, as its last argument, a caller-owned struct esp_error.
 * The pointer may be NULL. The first error written into it wins: later ones leave it as it is, so that a chain of
 * failing calls reports its cause. Start with `struct esp_error err = {0};`.
 *
 * The library never prints, exits or aborts. Thread-safety: an esp_error belongs to one thread at a time. */
#ifndef ESPALIER_ERROR_H
#define ESPALIER_ERROR_H

enum esp_status {
    ESP_OK = 0,
    ESP_ERROR_ARGUMENT,     /* an argument is outside what the header allows */
    ESP_ERROR_MEMORY,       /* the system gave no memory */
    ESP_ERROR_IO,           /* a file could not be opened or read */
    ESP_ERROR_MODEL,        /* a model directory says something impossible */
    ESP_ERROR_UNSUPPORTED,  /* this machine or build cannot do what was asked for */
    ESP_ERROR_UNKNOWN_NAME, /* no node has this name */
    ESP_ERROR_NAME,         /* the name fits several nodes, or was said twice */
    ESP_ERROR_WEIGHT,       /* an attention weight is not a number or out of range */
    ESP_ERROR_NOTHING_LEFT, /* every selected category is silenced */
    ESP_ERROR_SEARCH,       /* a search that cannot be made: no scores to choose by, or too small a budget */
    ESP_ERROR_NOT_JPEG,     /* the bytes are not a JPEG's */
    ESP_ERROR_UNDECODABLE,  /* a JPEG, but broken or of an unsupported kind */
    ESP_ERROR_TOO_LARGE     /* more bytes or pixels than the limit */
};

enum { ESP_ERROR_TEXT = 512 };

struct esp_error {
    enum esp_status status;
    char text[ESP_ERROR_TEXT]; /* one line, ends with 0; cut where it would not fit. Names that it quotes may be any
                                  bytes but control characters */
};

/* Writes status and text into `err` unless it is NULL or holds an error already. Returns `status`, so that a failing
 * function can end with `return esp_fail(err, ESP_ERROR_..., "...")`. */
__attribute__((format(printf, 3, 4))) enum esp_status esp_fail(struct esp_error *err, enum esp_status status,
                                                               const char *format, ...);

#endif
