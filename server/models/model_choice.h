/* Which network runs, on which kernels: the flags --model, --kernels and --precision, which all commands have. */
#ifndef SERVER_MODELS_MODEL_CHOICE_H
#define SERVER_MODELS_MODEL_CHOICE_H

#include "espalier/model.h"
#include "server/models/bundled.h"

/* As the person wrote them; NULL or empty for what was not said. */
struct model_choice {
    const char *directory, *kernels, *precision;
};

/* Loads the network, and writes where it lies. ESP_ERROR_ARGUMENT: the precision is no word for one. */
enum esp_status model_choice_load(const struct model_choice *choice, esp_model **model,
                                  char directory[BUNDLED_PATH_MAX], struct esp_error *err);

#endif
