/* espalier bench: where the time goes. */
#include "espalier/limits.h"
#include "server/bench/print.h"
#include "server/commands.h"
#include "server/config/values.h"
#include "server/file.h"
#include "server/models/model_choice.h"
#include "server/spoken.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "Usage: espalier bench [IMAGE] [options]\n"
    "\n"
    "Shows where the time goes: for each segment and layer, and for decoding and preprocessing a\n"
    "JPEG file, the multiply-accumulates (MACs), the time, GFLOP/s (a MAC is two operations) and\n"
    "the share of the peak, which is what the kernels' innermost loop reaches on this machine.\n"
    "Without IMAGE it takes the picture that comes with the program.\n"
    "\n"
    "  --categories LIST  only these: cat,animal/dog/chihuahua (all)\n"
    "  --attention LIST   weights from 0 to 16: cat:2.0,food:0 (1 everywhere)\n"
    "  --batch N          copies of the image that run together (1)\n"
    "  --threads N        threads that share the branches of a run (1); the layers are timed on\n"
    "                     one thread in any case\n"
    "  --runs N           runs that are timed (100); decoding and the layers at most 100 times\n"
    "  --model DIR        the model directory (the bundled network)\n"
    "  --kernels NAME     the kernels that compute (auto)\n"
    "  --precision WORD   what they multiply in: fp32, bf16 or auto (auto)\n"
    "  --json             one JSON object instead of the table\n"
    "  --help             this text\n"
    "\n"
    "All times are medians, and those of the engine are of the whole batch. In JSON, macs is of one\n"
    "image, median_ms the engine's time of one run, trunk and branches, timed without a look at the\n"
    "clock in between; decode_ms and preprocess_ms are of one image, or null without one; share is\n"
    "that of the peak, of the products that the kernels make (fewer than MACs by Winograd's filtering,\n"
    "more where BF16 has to be exact); macs, ms, gflops and share of segments and layers are of the whole batch.\n";

/* What was asked for, and what serves it. */
struct command {
    struct model_choice choice;
    struct spoken spoken;
    bool json;
    uint64_t batch, threads, runs;
    const char *image;
    esp_model *model;
    struct options options;
    uint8_t *jpeg;
    size_t jpeg_size;
};

/* What a flag's value is good for; the exit status of an error is 2. */
static bool read_number(const char *flag, uint64_t most, uint64_t *number)
{
    struct esp_error err = {0};

    if (value_number(flag, optarg, 1, most, number, &err) == ESP_OK)
        return true;
    fprintf(stderr, "espalier bench: %s\n", err.text);
    return false;
}

/* Returns -1 to go on, or the exit status. */
static int parse_flag(struct command *command, int flag)
{
    bool good = true;

    switch (flag) {
    case 'c': spoken_say(&command->spoken, "categories", optarg); break;
    case 'a': spoken_say(&command->spoken, "attention", optarg); break;
    case 'b': good = read_number("--batch", ESP_BATCH_MAX, &command->batch); break;
    case 't': good = read_number("--threads", BENCH_THREADS_MAX, &command->threads); break;
    case 'r': good = read_number("--runs", BENCH_RUNS_MAX, &command->runs); break;
    case 'm': command->choice.directory = optarg; break;
    case 'k': command->choice.kernels = optarg; break;
    case 'p': command->choice.precision = optarg; break;
    case 'j': command->json = true; break;
    case 'h': fputs(usage, stdout); return 0;
    default: fputs("espalier bench --help lists the options\n", stderr); return 2;
    }
    return good ? -1 : 2;
}

/* The same. */
static int parse(struct command *command, int argc, char **argv)
{
    static const struct option flags[] = {{"categories", required_argument, NULL, 'c'},
                                          {"attention", required_argument, NULL, 'a'},
                                          {"batch", required_argument, NULL, 'b'},
                                          {"threads", required_argument, NULL, 't'},
                                          {"runs", required_argument, NULL, 'r'},
                                          {"model", required_argument, NULL, 'm'},
                                          {"kernels", required_argument, NULL, 'k'},
                                          {"precision", required_argument, NULL, 'p'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    int status = -1;

    for (int flag; status < 0 && (flag = getopt_long(argc, argv, "", flags, NULL)) != -1;)
        status = parse_flag(command, flag);
    if (status >= 0)
        return status;
    if (argc - optind > 1) {
        fprintf(stderr, "espalier bench: \"%s\" is too much; it takes one image\n", argv[optind + 1]);
        return 2;
    }
    command->image = optind < argc ? argv[optind] : NULL;
    return -1;
}

/* 2 where the command line was wrong. */
static int fail(const struct esp_error *err)
{
    fprintf(stderr, "espalier bench: %s\n", err->text);
    return err->status == ESP_ERROR_ARGUMENT ? 2 : 1;
}

/* The picture that was named, or the bundled one; without either there is none, which is no error. */
static enum esp_status read_picture(struct command *command, struct esp_error *err)
{
    struct esp_error fault = {0};
    struct esp_image_limits limits;
    char sample[BUNDLED_PATH_MAX];
    const char *path = command->image ? command->image : bundled_sample(sample) ? sample : NULL;

    if (!path)
        return ESP_OK;
    esp_image_limits_default(&limits);
    command->jpeg = file_read(path, limits.bytes, &command->jpeg_size, &fault);
    return command->jpeg ? ESP_OK : esp_fail(err, fault.status, "%.200s: %.200s", path, fault.text);
}

static bool print_json(const struct bench *bench, const struct bench_result *result)
{
    char *text = bench_json(bench, result);

    if (text)
        puts(text);
    else
        fputs("espalier bench: the JSON could not be written: out of memory\n", stderr);
    free(text);
    return text != NULL;
}

/* The exit status. */
static int measure(const struct command *command)
{
    struct bench bench = {.model = command->model,
                          .cutout = command->options.cutout,
                          .jpeg = command->jpeg,
                          .jpeg_size = command->jpeg_size,
                          .batch = command->batch,
                          .threads = command->threads,
                          .runs = command->runs};
    struct bench_result result;
    struct esp_error err = {0};
    int status = 0;

    if (bench_measure(&bench, &result, &err) != ESP_OK)
        status = fail(&err);
    else if (command->json)
        status = !print_json(&bench, &result);
    else
        bench_print_table(stdout, &bench, &result, isatty(STDOUT_FILENO));
    bench_release(&result);
    return status;
}

static int run(struct command *command)
{
    char directory[BUNDLED_PATH_MAX];
    struct esp_error err = {0};

    if (model_choice_load(&command->choice, &command->model, directory, &err) != ESP_OK ||
        esp_cutout_create(&command->options.cutout, command->model, &err) != ESP_OK ||
        read_picture(command, &err) != ESP_OK)
        return fail(&err);
    return spoken_read(&command->spoken, &command->options, &err) == ESP_OK ? measure(command) : fail(&err);
}

int esp_command_bench(int argc, char **argv)
{
    struct command command = {.batch = 1, .threads = 1, .runs = 100};
    int status = parse(&command, argc, argv);

    if (status < 0)
        status = run(&command);
    free(command.jpeg);
    esp_cutout_destroy(&command.options.cutout);
    esp_model_destroy(&command.model);
    return status;
}
