/* espalier classify: pictures from files, without the daemon. */
#include "espalier/image.h"
#include "espalier/instance.h"
#include "espalier/limits.h"
#include "server/answer.h"
#include "server/clock.h"
#include "server/commands.h"
#include "server/figures.h"
#include "server/file.h"
#include "server/models/model_choice.h"
#include "server/problem.h"
#include "server/spoken.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] = "Usage: espalier classify IMAGE... [options]\n"
                            "\n"
                            "Classifies JPEG files; - is the standard input.\n"
                            "\n"
                            "  --categories LIST  only these: cat,animal/dog/chihuahua (all)\n"
                            "  --attention LIST   weights from 0 to 16: cat:2.0,food:0 (1 everywhere)\n"
                            "  --top N            how many predictions (5)\n"
                            "  --groups           the scores of the groups that ran, too\n"
                            "  --search beam:N    descend only into the N best branches of each level\n"
                            "  --budget macs:N    spend at most N multiply-accumulates (MACs) for each image\n"
                            "  --json             one JSON object for each image, as POST /classify answers\n"
                            "  --model DIR        the model directory (the bundled network)\n"
                            "  --kernels NAME     the kernels that compute (auto)\n"
                            "  --precision WORD   what they multiply in: fp32, bf16 or auto (auto)\n"
                            "  --help             this text\n";

/* What was asked for, and what serves it. */
struct command {
    struct model_choice choice;
    bool json;
    struct spoken spoken; /* options as text, to be read once the model is there */
    esp_model *model;
    esp_instance *instance;
    esp_decoder *decoder;
    struct options options;
    float *scores;
    uint8_t *ran;
    struct esp_prediction *predictions;
};

/* Returns -1 to go on, or the exit status. */
static int parse(struct command *command, int argc, char **argv)
{
    static const struct option flags[] = {{"categories", required_argument, NULL, 'c'},
                                          {"attention", required_argument, NULL, 'a'},
                                          {"top", required_argument, NULL, 't'},
                                          {"groups", no_argument, NULL, 'g'},
                                          {"search", required_argument, NULL, 's'},
                                          {"budget", required_argument, NULL, 'b'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"model", required_argument, NULL, 'm'},
                                          {"kernels", required_argument, NULL, 'k'},
                                          {"precision", required_argument, NULL, 'p'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};

    for (int flag; (flag = getopt_long(argc, argv, "", flags, NULL)) != -1;) {
        switch (flag) {
        case 'c': spoken_say(&command->spoken, "categories", optarg); break;
        case 'a': spoken_say(&command->spoken, "attention", optarg); break;
        case 't': spoken_say(&command->spoken, "top", optarg); break;
        case 'g': spoken_say(&command->spoken, "groups", "true"); break;
        case 's': spoken_say(&command->spoken, "search", optarg); break;
        case 'b': spoken_say(&command->spoken, "budget", optarg); break;
        case 'j': command->json = true; break;
        case 'm': command->choice.directory = optarg; break;
        case 'k': command->choice.kernels = optarg; break;
        case 'p': command->choice.precision = optarg; break;
        case 'h': fputs(usage, stdout); return 0;
        default: fputs("espalier classify --help lists the options\n", stderr); return 2;
        }
    }
    if (optind < argc)
        return -1;
    fputs("espalier classify: name one or more JPEG files; --help tells more\n", stderr);
    return 2;
}

static enum esp_status open_model(struct command *command, struct esp_error *err)
{
    char directory[BUNDLED_PATH_MAX];
    enum esp_status status;

    if ((status = model_choice_load(&command->choice, &command->model, directory, err)) != ESP_OK ||
        (status = esp_instance_create(&command->instance, command->model, 1, err)) != ESP_OK ||
        (status = esp_decoder_create(&command->decoder, NULL, err)) != ESP_OK ||
        (status = esp_cutout_create(&command->options.cutout, command->model, err)) != ESP_OK)
        return status;
    const struct esp_model_info *info = esp_model_info(command->model);
    command->scores = calloc(info->nodes, sizeof *command->scores);
    command->ran = calloc(info->nodes, sizeof *command->ran);
    command->predictions = calloc(info->categories, sizeof *command->predictions);
    if (command->scores && command->ran && command->predictions)
        return ESP_OK;
    return esp_fail(err, ESP_ERROR_MEMORY, "out of memory");
}

static void close_model(struct command *command)
{
    free(command->scores);
    free(command->ran);
    free(command->predictions);
    esp_cutout_destroy(&command->options.cutout);
    esp_decoder_destroy(&command->decoder);
    esp_instance_destroy(&command->instance);
    esp_model_destroy(&command->model);
}

static void print_problem(const struct response *response)
{
    char text[1024];

    problem_text(response, text, sizeof text);
    fprintf(stderr, "espalier classify: %s\n", text);
}

static void print_predictions(const struct command *command, const struct answer *answer)
{
    int widest = 0;

    for (size_t i = 0; i < answer->count; i++) {
        int length = (int)strlen(esp_model_node(command->model, answer->predictions[i].node)->path);
        widest = length > widest ? length : widest;
    }
    for (size_t i = 0; i < answer->count; i++) {
        const struct esp_prediction *prediction = &answer->predictions[i];
        const struct esp_node_info *node = esp_model_node(command->model, prediction->node);
        printf("  %6.2f %%  %-*s", 100 * prediction->probability, widest, node->path);
        if (esp_model_info(command->model)->calibrated)
            printf("  confidence %6.2f %%", 100 * prediction->confidence);
        printf("  %8.4f  %s\n", (double)prediction->score, node->label);
    }
}

static void print_groups(const struct command *command, const struct answer *answer)
{
    for (size_t i = 0; i < esp_model_info(command->model)->nodes; i++) {
        const struct esp_node_info *node = esp_model_node(command->model, i);
        if (node->category == SIZE_MAX && esp_job_scored(answer->ran, i))
            printf("  group     %s  %.4f\n", node->path, (double)answer->ran->scores[i]);
    }
}

/* Where a search went. */
static void print_search(const struct command *command, const struct esp_job *ran)
{
    size_t branches = 0, entered = 0;

    if (!esp_cutout_chooses(ran->cutout))
        return;
    for (size_t i = 1; i < esp_model_info(command->model)->nodes; i++) {
        const struct esp_node_info *node = esp_model_node(command->model, i);
        branches += node->category == SIZE_MAX && esp_job_ran(ran, i);
        entered += esp_job_descended(ran, i);
        if (esp_job_descended(ran, i) || esp_job_too_dear(ran, i))
            printf("  %-9s %s\n", esp_job_descended(ran, i) ? "entered" : "too dear", node->path);
    }
    printf("  search    entered %zu of the %zu inner branches that ran\n", entered, branches);
}

static void print_cost(const struct command *command, const struct answer *answer)
{
    const struct esp_model_info *info = esp_model_info(command->model);
    const struct times *times = &answer->times;
    char macs[FIGURE_MAX], macs_full[FIGURE_MAX], parameters[FIGURE_MAX], parameters_full[FIGURE_MAX];

    printf("  %s of %s MACs, %s of %s parameters, %zu of %zu branches; %.2f ms: decode %.2f, preprocess %.2f, trunk "
           "%.2f, branches %.2f\n",
           figure_write(answer->ran->cost.macs, macs), figure_write(info->macs, macs_full),
           figure_write(answer->ran->cost.parameters, parameters), figure_write(info->parameters, parameters_full),
           answer->ran->cost.branches, info->branches, 1e3 * times->total, 1e3 * times->decode, 1e3 * times->preprocess,
           1e3 * times->trunk, 1e3 * times->branches);
}

static bool print_json(const struct answer *answer)
{
    struct response response = {0};

    answer_classify(answer, &response);
    bool good = response.status == 200;
    if (good)
        printf("%.*s\n", (int)response.size, response.body);
    else
        print_problem(&response);
    response_clear(&response);
    return good;
}

static bool print_answer(const struct command *command, const struct answer *answer)
{
    if (command->json)
        return print_json(answer);
    printf("%s\n", answer->image);
    print_predictions(command, answer);
    print_groups(command, answer);
    print_search(command, answer->ran);
    print_cost(command, answer);
    return true;
}

static enum esp_status run(struct command *command, const uint8_t *bytes, size_t size, struct esp_job *job,
                           struct answer *answer, struct esp_error *err)
{
    struct esp_image_report report;
    uint64_t start = clock_now();
    enum esp_status status;

    if ((status = esp_decoder_decode(command->decoder, bytes, size, &esp_model_info(command->model)->input,
                                     esp_instance_input(command->instance, 0), &report, err)) != ESP_OK ||
        (status = esp_instance_run(command->instance, job, 1, err)) != ESP_OK)
        return status;
    answer->count = esp_predict(job, command->options.top, command->predictions);
    answer->times = (struct times){.decode = report.decode_seconds,
                                   .preprocess = report.preprocess_seconds,
                                   .trunk = job->trunk_seconds,
                                   .branches = job->branches_seconds,
                                   .total = (double)(clock_now() - start) * 1e-9};
    return ESP_OK;
}

static bool classify(struct command *command, const char *path)
{
    struct esp_job job = {.cutout = command->options.cutout,
                          .input = esp_instance_input(command->instance, 0),
                          .scores = command->scores,
                          .ran = command->ran};
    struct answer answer = {
        .image = path, .ran = &job, .predictions = command->predictions, .groups = command->options.groups, .batch = 1};
    struct esp_image_limits limits;
    struct esp_error err = {0};
    size_t size;

    esp_image_limits_default(&limits);
    uint8_t *bytes = file_read(path, limits.bytes, &size, &err);
    bool good = bytes && run(command, bytes, size, &job, &answer, &err) == ESP_OK;
    free(bytes);
    if (good)
        return print_answer(command, &answer);
    fprintf(stderr, "espalier classify: %s: %s\n", path, err.text);
    return false;
}

/* All images; the exit status. */
static int classify_all(struct command *command, int count, char **paths)
{
    int status = 0;

    struct esp_error err = {0};

    if (spoken_read(&command->spoken, &command->options, &err) != ESP_OK) {
        fprintf(stderr, "espalier classify: %s\n", err.text);
        return 2;
    }
    for (int i = 0; i < count; i++)
        status |= !classify(command, paths[i]);
    return status;
}

int esp_command_classify(int argc, char **argv)
{
    struct command command = {0};
    struct esp_error err = {0};
    int status = parse(&command, argc, argv);

    if (status >= 0)
        return status;
    if (open_model(&command, &err) == ESP_OK) {
        status = classify_all(&command, argc - optind, argv + optind);
    } else {
        fprintf(stderr, "espalier classify: %s\n", err.text);
        status = err.status == ESP_ERROR_ARGUMENT ? 2 : 1;
    }
    close_model(&command);
    return status;
}
