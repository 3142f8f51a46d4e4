#include "server/models/model_choice.h"

#include "server/config/values.h"

static bool said(const char *text)
{
    return text && *text;
}

enum esp_status model_choice_load(const struct model_choice *choice, esp_model **model,
                                  char directory[BUNDLED_PATH_MAX], struct esp_error *err)
{
    struct esp_model_options options;
    enum esp_status status;

    *model = NULL;
    esp_model_options_default(&options);
    if (said(choice->kernels))
        options.kernels = choice->kernels;
    if (said(choice->precision) &&
        (status = value_precision("--precision", choice->precision, &options.precision, err)) != ESP_OK)
        return status;
    if ((status = bundled_model(choice->directory, directory, err)) != ESP_OK)
        return status;
    return esp_model_load(model, directory, &options, err);
}
