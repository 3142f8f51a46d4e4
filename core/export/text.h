/* JSON for people, as deploy/models/espalier_models writes it: what fits on a line stands on one, all else is broken
 * into lines and indented by one space. Layers and nodes that have others beside them each begin a line. Numbers keep
 * their value in the fewest digits that do. */
#ifndef ESP_CORE_EXPORT_TEXT_H
#define ESP_CORE_EXPORT_TEXT_H

#include <jansson.h>
#include <stdbool.h>

struct esp_text {
    char *bytes; /* not ended by 0; free with esp_free */
    size_t length, room;
    bool failed; /* there was no memory */
};

/* Appends the value and the end of its last line to a text that begins as {0}. */
void esp_text_json(struct esp_text *text, const json_t *value);

#endif
