/* Where the time of a run goes, row by row, and how fast the machine could be.
 *
 *     esp_profile_create(&profile, model, &err);
 *     esp_instance_profile(instance, profile);
 *     esp_instance_run(instance, jobs, count, &err);     // as often as one likes: the rows add up
 *     for (size_t i = 0; i < esp_profile_rows(profile); i++)
 *         esp_profile_row(profile, i)->seconds;
 *
 * A profile takes all of its memory when it is created; a run that fills it in allocates nothing (law 4), and one
 * without a profile pays a comparison for each row. Looking at the clock costs some ten nanoseconds for each row and
 * run: the time of a whole run is better taken without a profile. One instance, so one thread, fills in a profile at a
 * time; branches that other members of its crew take over are not in it. */
#ifndef ESPALIER_PROFILE_H
#define ESPALIER_PROFILE_H

#include "espalier/instance.h"

typedef struct esp_profile esp_profile;

/* What a node's run is made of. */
enum esp_profile_part {
    ESP_PROFILE_LAYER,
    ESP_PROFILE_ATTENTION, /* where the last layer does not apply it itself, as convolutions do */
    ESP_PROFILE_HEAD,
    ESP_PROFILE_PATCHES /* laying out the patches of its output that its children share */
};

struct esp_profile_row {
    enum esp_profile_part part;
    size_t node;
    const char *name; /* of a layer the prefix of its tensors, "res1.conv2", or what it does, "max pool"; "head", ... */
    struct esp_shape in, out;
    uint32_t kernel_height, kernel_width, stride, groups; /* 0 for what is no convolution or pooling */
    uint64_t macs, images; /* added up since the last reset */
    double products; /* multiplications that the kernels make for one of these MACs, 16/36 by Winograd's filtering */
    double seconds;
};

/* Rows for everything that any cutout of the model could run. The model must outlive the profile. */
enum esp_status esp_profile_create(esp_profile **profile, const esp_model *model, struct esp_error *err);

/* Sets the pointer to NULL; NULL is fine. No instance may still fill it in. */
void esp_profile_destroy(esp_profile **profile);

/* The runs of `instance` fill in `profile`, which is one of its model, from now on; NULL: no more. */
void esp_instance_profile(esp_instance *instance, esp_profile *profile);

/* Sets what was added up to 0. */
void esp_profile_reset(esp_profile *profile);

/* The rows: nodes in the order of the tree, each with its layers in order, then its other parts. Rows that have not run
 * have `images` 0. They live as long as the profile. */
size_t esp_profile_rows(const esp_profile *profile);
const struct esp_profile_row *esp_profile_row(const esp_profile *profile, size_t row);

/* The machine's peak: multiply-accumulates per second of the innermost loop of the model's kernels on data in the first
 * cache, on one thread; the best of what it does in about 50 ms, which is how long this takes. */
double esp_model_peak(const esp_model *model);

#endif
