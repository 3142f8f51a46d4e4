/* Every kernel set against the plain C one, at odd sizes; and the planner of memory. */
#include "core/kernels/kernels.h"
#include "core/memory.h"
#include "core/place.h"
#include "core/program.h"
#include "tests/support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGES = 3 };

struct fixture {
    float *weights, *bias, *in[IMAGES], *addend[IMAGES], *out[IMAGES];
};

static struct esp_conv random_conv(uint64_t *random)
{
    struct esp_conv conv = {.groups = 1 + (uint32_t)random_below(random, 3)};
    struct esp_window *w = &conv.window;

    conv.in.channels = conv.groups * (1 + (uint32_t)random_below(random, 9));
    conv.out.channels = conv.groups * (1 + (uint32_t)random_below(random, 20));
    w->kernel_h = 1 + (uint32_t)random_below(random, 4);
    w->kernel_w = 1 + (uint32_t)random_below(random, 4);
    w->stride_h = 1 + (uint32_t)random_below(random, 3);
    w->stride_w = 1 + (uint32_t)random_below(random, 3);
    w->padding_h = (uint32_t)random_below(random, 4);
    w->padding_w = (uint32_t)random_below(random, 4);
    w->dilation_h = 1 + (uint32_t)random_below(random, 2);
    w->dilation_w = 1 + (uint32_t)random_below(random, 2);
    conv.in.height = w->dilation_h * w->kernel_h + (uint32_t)random_below(random, 17);
    conv.in.width = w->dilation_w * w->kernel_w + (uint32_t)random_below(random, 17);
    conv.out.height = (conv.in.height + 2 * w->padding_h - w->dilation_h * (w->kernel_h - 1) - 1) / w->stride_h + 1;
    conv.out.width = (conv.in.width + 2 * w->padding_w - w->dilation_w * (w->kernel_w - 1) - 1) / w->stride_w + 1;
    conv.activation = (enum esp_activation)random_below(random, 5);
    return conv;
}

/* Stride 1 and a padding that keeps the shape, which kernels treat in a way of their own. */
static struct esp_conv shape_keeping_conv(uint64_t *random)
{
    struct esp_conv conv = random_conv(random);
    struct esp_window *w = &conv.window;

    w->stride_h = w->stride_w = 1;
    w->kernel_h = 1 + 2 * (uint32_t)random_below(random, 4);
    w->kernel_w = 1 + 2 * (uint32_t)random_below(random, 4);
    w->padding_h = w->dilation_h * (w->kernel_h - 1) / 2;
    w->padding_w = w->dilation_w * (w->kernel_w - 1) / 2;
    conv.in.height = 1 + (uint32_t)random_below(random, 12); /* also smaller than the kernel */
    conv.in.width = 1 + (uint32_t)random_below(random, 12);
    conv.out.height = conv.in.height;
    conv.out.width = conv.in.width;
    return conv;
}

static float *random_array(uint64_t *random, size_t count)
{
    float *values = esp_alloc(count, sizeof *values);
    random_floats(random, values, count);
    return values;
}

static struct fixture make_fixture(uint64_t *random, const struct esp_conv *conv)
{
    struct fixture made = {.weights = random_array(random, (size_t)esp_conv_weights(conv)),
                           .bias = random_array(random, conv->out.channels)};
    for (int i = 0; i < IMAGES; i++) {
        made.in[i] = random_array(random, esp_shape_elements(conv->in));
        made.addend[i] = random_array(random, esp_shape_elements(conv->out));
        made.out[i] = random_array(random, esp_shape_elements(conv->out)); /* what was there must not show */
    }
    return made;
}

static void free_fixture(struct fixture *made)
{
    esp_free(made->weights);
    esp_free(made->bias);
    for (int i = 0; i < IMAGES; i++) {
        esp_free(made->in[i]);
        esp_free(made->addend[i]);
        esp_free(made->out[i]);
    }
}

/* Runs `count` images from `first` on. */
static void run(const struct esp_kernels *kernels, struct esp_conv conv, struct fixture *made, size_t first,
                size_t count, bool addend)
{
    struct esp_images images = {.count = count,
                                .in = (const float *const *)made->in + first,
                                .addend = addend ? (const float *const *)made->addend + first : NULL,
                                .out = made->out + first};
    void *packed = esp_alloc(kernels->conv_weight_bytes(&conv), 1);
    size_t bytes = kernels->conv_workspace_bytes(&conv);
    uint8_t *workspace = esp_alloc(bytes + 64, 1);

    memset(workspace, 0xff, bytes + 64); /* NaN, and a fence behind */
    kernels->conv_pack(&conv, made->weights, packed);
    conv.weights = packed;
    conv.bias = made->bias;
    kernels->conv(&conv, &images, workspace);
    for (size_t i = 0; i < 64; i++)
        ck_assert_uint_eq(workspace[bytes + i], 0xff);
    esp_free(packed);
    esp_free(workspace);
}

START_TEST(test_kernels_agree_with_plain_c)
{
    const struct esp_kernels *kernels;
    uint64_t random = 3;

    ck_assert_int_eq(esp_kernels_find(&kernels, "auto", NULL), ESP_OK);
    for (int n = 0; n < 800; n++) {
        struct esp_conv conv = n % 4 < 2 ? random_conv(&random) : shape_keeping_conv(&random);
        struct fixture made = make_fixture(&random, &conv);
        size_t elements = esp_shape_elements(conv.out);
        bool addend = n % 2;
        float *plain[IMAGES];
        run(&esp_kernels_plain, conv, &made, 0, IMAGES, addend);
        for (int i = 0; i < IMAGES; i++) {
            plain[i] = made.out[i];
            made.out[i] = random_array(&random, elements);
        }
        run(kernels, conv, &made, 0, IMAGES, addend);
        for (int i = 0; i < IMAGES; i++)
            for (size_t e = 0; e < elements; e++)
                if (!(fabsf(made.out[i][e] - plain[i][e]) <= 1e-4f * (1 + fabsf(plain[i][e]))))
                    ck_abort_msg("case %d: %g instead of %g", n, (double)made.out[i][e], (double)plain[i][e]);
        float *batched = made.out[1];
        made.out[1] = random_array(&random, elements);
        run(kernels, conv, &made, 1, 1, addend); /* alone: the same bits */
        ck_assert_mem_eq(batched, made.out[1], elements * sizeof *batched);
        esp_free(batched);
        for (int i = 0; i < IMAGES; i++)
            esp_free(plain[i]);
        free_fixture(&made);
    }
}
END_TEST

START_TEST(test_places_do_not_overlap)
{
    uint64_t random = 17;

    for (int round = 0; round < 200; round++) {
        struct esp_interval list[40];
        size_t count = random_below(&random, 40), total, sum = 0;
        for (size_t i = 0; i < count; i++) {
            list[i].first = random_below(&random, 30);
            list[i].last = list[i].first + random_below(&random, 6);
            list[i].size = 16 * (1 + random_below(&random, 50));
            sum += list[i].size;
        }
        ck_assert(esp_place_intervals(list, count, &total));
        ck_assert_uint_le(total, sum);
        for (size_t i = 0; i < count; i++) {
            ck_assert_uint_le(list[i].offset + list[i].size, total);
            for (size_t j = 0; j < i; j++) {
                bool in_time = list[i].first <= list[j].last && list[j].first <= list[i].last;
                bool apart =
                    list[i].offset + list[i].size <= list[j].offset || list[j].offset + list[j].size <= list[i].offset;
                ck_assert(!in_time || apart);
            }
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kernels");
    TCase *tests = tcase_create("kernels");

    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, test_kernels_agree_with_plain_c);
    tcase_add_test(tests, test_places_do_not_overlap);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
