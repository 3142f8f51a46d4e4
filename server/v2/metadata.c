/* What a client can learn before it asks. */
#include "server/v2/infer.h"
#include "server/v2/limits.h"

#include <jansson.h>
#include <stdio.h>

enum { TRIPLE_MAX = 64, FULL_TEXT_MAX = 256 };

json_t *infer_server(void)
{
    return json_pack("{s:s, s:s, s:[s, s]}", "name", "espalier", "version", ESP_VERSION, "extensions",
                     "binary_tensor_data", "model_repository");
}

/* The shape is taken over. */
static json_t *tensor_json(const char *name, const char *datatype, json_t *shape, bool optional, const char *text)
{
    return json_pack("{s:s, s:s, s:o, s:{s:b, s:s}}", "name", name, "datatype", datatype, "shape", shape, "parameters",
                     "optional", (int)optional, "description", text);
}

static json_t *values_json(const struct esp_input_info *input)
{
    const float *mean = input->mean, *std = input->std;
    char text[FULL_TEXT_MAX];

    snprintf(text, sizeof text,
             "the same, normalised: (pixel / 255 - mean) / std, with mean %.9g, %.9g, %.9g and std %.9g, %.9g, %.9g",
             (double)mean[0], (double)mean[1], (double)mean[2], (double)std[0], (double)std[1], (double)std[2]);
    return tensor_json("image", "FP32",
                       json_pack("[i, i, i, i]", -1, 3, (int)input->shape.height, (int)input->shape.width), true, text);
}

static json_t *inputs_json(const struct esp_input_info *input)
{
    char text[FULL_TEXT_MAX];

    snprintf(text, sizeof text, "pictures, 1 to %d, red, green, blue; each request has the input image or jpeg",
             V2_IMAGES_MAX);
    json_t *pixels =
        tensor_json("image", "UINT8",
                    json_pack("[i, i, i, i]", -1, (int)input->shape.height, (int)input->shape.width, 3), true, text);
    return json_pack("[o, o, o, o, o]", pixels, values_json(input),
                     tensor_json("jpeg", "BYTES", json_pack("[i]", -1), true,
                                 "JPEG files of any size instead of image; base64 in JSON, as they are in binary data"),
                     tensor_json("categories", "BYTES", json_pack("[i]", -1), true,
                                 "names or paths of the categories and groups that matter; all unless given"),
                     tensor_json("attention", "BYTES", json_pack("[i]", -1), true,
                                 "weights from 0 to 16, name:weight, as in tabby:2.0; 1 everywhere unless given"));
}

static json_t *outputs_json(bool calibrated)
{
    json_t *array = json_pack("[o, o, o]",
                              tensor_json(infer_output_text(OUTPUT_SCORES), "FP32", json_pack("[i, i]", -1, -1), false,
                                          "the logit of each picture and category"),
                              tensor_json(infer_output_text(OUTPUT_PROBABILITIES), "FP32", json_pack("[i, i]", -1, -1),
                                          false, "softmax over the categories that ran"),
                              tensor_json(infer_output_text(OUTPUT_CATEGORIES), "BYTES", json_pack("[i]", -1), false,
                                          "the paths of the categories that ran, in the order of the tree"));

    if (array && calibrated)
        json_array_append_new(array,
                              tensor_json(infer_output_text(OUTPUT_CONFIDENCES), "FP32", json_pack("[i, i]", -1, -1),
                                          false, "the calibrated chance that the picture shows the category at all"));
    return array;
}

json_t *infer_model(const struct esp_model_info *info)
{
    return json_pack("{s:s, s:[s], s:s, s:o, s:o}", "name", info->name, "versions", info->version, "platform",
                     "espalier", "inputs", inputs_json(&info->input), "outputs", outputs_json(info->calibrated));
}
