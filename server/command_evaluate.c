/* espalier evaluate: how good a network, or a cutout of it, is on labelled pictures. */
#include "espalier/image.h"
#include "server/commands.h"
#include "server/config/values.h"
#include "server/cpus.h"
#include "server/evaluate/progress.h"
#include "server/evaluate/report.h"
#include "server/evaluate/run.h"
#include "server/evaluate/sweep.h"
#include "server/models/model_choice.h"
#include "server/spoken.h"

#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WEIGHTS "0.5,0.8,1,1.1,1.25,1.5,2"

enum { THREADS_MAX = 256 };

static const char usage[] =
    "Usage: espalier evaluate DIRECTORY-OR-ARCHIVE [options]\n"
    "\n"
    "Runs labelled JPEG files through the engine and prints top-1, top-5, the accuracy of each group,\n"
    "and how well probabilities and confidences are calibrated. Pictures lie in folders that say what\n"
    "they show: ANYTHING/LABEL/FILE.jpg, in a directory or an archive (.tar, .tar.gz, .zip, ...), which is\n"
    "not unpacked. LABEL is a category's name, path (as folders in each other) or id; Golden Retriever\n"
    "is golden_retriever, too.\n"
    "\n"
    "  --labels FILE            other labels: lines of a folder's name, a tab, and a category\n"
    "  --categories LIST        a cutout: only these, on pictures of these (all)\n"
    "  --all-pictures           with --categories: the pictures of all categories\n"
    "  --attention LIST         weights from 0 to 16: cat:2.0,food:0 (1 everywhere)\n"
    "  --attention-sweep LIST   attend to these nodes with one weight after the other, and print recall,\n"
    "                           precision and false positives of their categories for each\n"
    "  --weights LIST           the weights of the sweep (" WEIGHTS ")\n"
    "  --search beam:K          descend into the K best branches of each level only\n"
    "  --budget macs:N          spend at most N MACs on a picture\n"
    "  --first N                only the first N pictures (all)\n"
    "  --threads N              threads that compute (as many as there are CPUs)\n"
    "  --model DIR              the model directory (the bundled network)\n"
    "  --kernels NAME           the kernels that compute (auto)\n"
    "  --precision WORD         what they multiply in: fp32, bf16 or auto (auto)\n"
    "  --csv                    CSV on the standard output: table,row,column,value\n"
    "  --scores FILE.npy        write all scores as a NumPy array, and FILE.tsv with the pictures' names\n"
    "  --quiet                  no progress bar\n"
    "  --help                   this text\n"
    "\n"
    "Recall: of the pictures that show an attended category, those whose first answer is their category.\n"
    "Precision: of the first answers that are attended categories, those that are right. False positives:\n"
    "of the other pictures, those whose first answer is an attended category. After a search, confidences\n"
    "are those of the answers given, as what did not run has none; and as nobody has asked for one category\n"
    "alone, the table of that is left out. What is left out (folders with other names, what cannot be read)\n"
    "is said at the end.\n";

struct command {
    struct model_choice choice;
    struct spoken spoken;
    const char *data, *labels, *attention, *nodes, *weights, *scores;
    bool csv, quiet, all_pictures;
    uint64_t first, threads;

    esp_model *model;
    struct options options;
    struct labels *known;
    struct picture_source *source;
    struct sweep_plan sweep;
    bool *selected;
    struct progress progress;
};

static bool read_number(const char *flag, uint64_t most, uint64_t *number)
{
    struct esp_error err = {0};

    if (value_number(flag, optarg, 1, most, number, &err) == ESP_OK)
        return true;
    fprintf(stderr, "espalier evaluate: %s\n", err.text);
    return false;
}

static int wrong(const char *text)
{
    fprintf(stderr, "espalier evaluate: %s\n", text);
    return 2;
}

static bool ends_with(const char *text, const char *ending)
{
    size_t length = strlen(text), last = strlen(ending);
    return length >= last && strcmp(text + length - last, ending) == 0;
}

/* Returns -1 to go on, or the exit status. */
static int parse_flag(struct command *command, int flag)
{
    bool good = true;

    switch (flag) {
    case 'l': command->labels = optarg; break;
    case 'c': spoken_say(&command->spoken, "categories", optarg); break;
    case 'e': command->all_pictures = true; break;
    case 'a': spoken_say(&command->spoken, "attention", command->attention = optarg); break;
    case 'n': command->nodes = optarg; break;
    case 'w': command->weights = optarg; break;
    case 's': spoken_say(&command->spoken, "search", optarg); break;
    case 'b': spoken_say(&command->spoken, "budget", optarg); break;
    case 'f': good = read_number("--first", UINT32_MAX, &command->first); break;
    case 't': good = read_number("--threads", THREADS_MAX, &command->threads); break;
    case 'm': command->choice.directory = optarg; break;
    case 'k': command->choice.kernels = optarg; break;
    case 'p': command->choice.precision = optarg; break;
    case 'v': command->csv = true; break;
    case 'o': command->scores = optarg; break;
    case 'q': command->quiet = true; break;
    case 'h': fputs(usage, stdout); return 0;
    default: fputs("espalier evaluate --help lists the options\n", stderr); return 2;
    }
    return good ? -1 : 2;
}

/* The same. */
static int parse(struct command *command, int argc, char **argv)
{
    static const struct option flags[] = {{"labels", required_argument, NULL, 'l'},
                                          {"categories", required_argument, NULL, 'c'},
                                          {"all-pictures", no_argument, NULL, 'e'},
                                          {"attention", required_argument, NULL, 'a'},
                                          {"attention-sweep", required_argument, NULL, 'n'},
                                          {"weights", required_argument, NULL, 'w'},
                                          {"search", required_argument, NULL, 's'},
                                          {"budget", required_argument, NULL, 'b'},
                                          {"first", required_argument, NULL, 'f'},
                                          {"threads", required_argument, NULL, 't'},
                                          {"model", required_argument, NULL, 'm'},
                                          {"kernels", required_argument, NULL, 'k'},
                                          {"precision", required_argument, NULL, 'p'},
                                          {"csv", no_argument, NULL, 'v'},
                                          {"scores", required_argument, NULL, 'o'},
                                          {"quiet", no_argument, NULL, 'q'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    int status = -1;

    for (int flag; status < 0 && (flag = getopt_long(argc, argv, "", flags, NULL)) != -1;)
        status = parse_flag(command, flag);
    if (status >= 0)
        return status;
    if (argc - optind != 1)
        return wrong("name one directory or archive of pictures; --help tells more");
    if (command->weights && !command->nodes)
        return wrong("--weights goes with --attention-sweep");
    if (command->scores && !ends_with(command->scores, REPORT_SCORES_ENDING))
        return wrong("--scores: the file's name has to end in " REPORT_SCORES_ENDING);
    command->data = argv[optind];
    return -1;
}

/* 2 where the command line was wrong. */
static int fail(const struct esp_error *err)
{
    fprintf(stderr, "espalier evaluate: %s\n", err->text);
    return err->status == ESP_ERROR_ARGUMENT ? 2 : 1;
}

static enum esp_status prepare(struct command *command, struct esp_error *err)
{
    size_t categories = esp_model_info(command->model)->categories;
    struct esp_image_limits limits;
    enum esp_status status;

    esp_image_limits_default(&limits);
    if ((status = labels_create(&command->known, command->model, command->labels, err)) != ESP_OK ||
        (status = picture_source_open(&command->source, command->data, limits.bytes, err)) != ESP_OK)
        return status;
    if (command->nodes)
        status = sweep_plan(&command->sweep, command->options.cutout, command->nodes,
                            command->weights ? command->weights : WEIGHTS, command->attention, err);
    command->selected = calloc(categories, sizeof *command->selected);
    if (!command->selected)
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory");
    for (size_t i = 0; i < categories; i++)
        command->selected[i] = esp_cutout_scores(command->options.cutout, esp_model_category_node(command->model, i));
    return status;
}

static void show(void *context, double done, size_t pictures)
{
    struct command *command = context;
    if (!command->quiet)
        progress_show(&command->progress, done, pictures);
}

static enum esp_status compute(struct command *command, struct evaluation *evaluation, struct esp_error *err)
{
    struct esp_image_limits limits;

    esp_image_limits_default(&limits);
    struct evaluate_run run = {.source = command->source,
                               .labels = command->known,
                               .cutout = command->options.cutout,
                               .attended = (const esp_cutout *const *)command->sweep.cutouts,
                               .threads = command->threads ? (unsigned)command->threads : cpus_usable(),
                               .first = (size_t)command->first,
                               .all_pictures = command->all_pictures,
                               .bytes_max = limits.bytes,
                               .progress = show,
                               .context = command};
    progress_begin(&command->progress, stderr);
    enum esp_status status = evaluate_run(&run, evaluation, err);
    if (!command->quiet)
        progress_end(&command->progress);
    return status;
}

/* Why there is nothing to report. */
static const char *lacking(const struct evaluation *evaluation)
{
    if (evaluation->count)
        return "no picture can be read";
    if (evaluation->unselected)
        return "no picture shows one of the categories asked for";
    if (evaluation->unknown_count)
        return "no picture lies in a folder that is called like a category; --labels says what others mean";
    return "has no JPEG files (.jpg, .jpeg, .jpe)";
}

static enum esp_status check_count(const struct command *command, const struct evaluation *evaluation,
                                   struct esp_error *err)
{
    if (evaluation->count > evaluation->faults)
        return ESP_OK;
    return esp_fail(err, ESP_ERROR_IO, "%.200s: %s", command->data, lacking(evaluation));
}

static enum esp_status print(const struct command *command, const struct evaluation *evaluation, struct esp_error *err)
{
    (command->csv ? report_csv : report_text)(stdout, evaluation);
    if (fflush(stdout) != 0 || ferror(stdout))
        return esp_fail(err, ESP_ERROR_IO, "the standard output cannot be written");
    return ESP_OK;
}

/* The exit status. */
static int evaluate(struct command *command)
{
    struct evaluation evaluation = {.model = command->model,
                                    .selected = command->selected,
                                    .searched = esp_cutout_chooses(command->options.cutout),
                                    .sweep = {command->sweep.weights, command->sweep.weights_count,
                                              command->sweep.attended, command->sweep.attended_count}};
    struct esp_error err = {0};
    enum esp_status status = compute(command, &evaluation, &err);

    if (status == ESP_OK)
        report_left_out(stderr, &evaluation);
    if (status == ESP_OK)
        status = check_count(command, &evaluation, &err);
    if (status == ESP_OK)
        status = print(command, &evaluation, &err);
    if (status == ESP_OK && command->scores)
        status = report_scores(command->scores, &evaluation, &err);
    evaluation_release(&evaluation);
    return status == ESP_OK ? 0 : fail(&err);
}

static int run(struct command *command)
{
    char directory[BUNDLED_PATH_MAX];
    struct esp_error err = {0};

    if (model_choice_load(&command->choice, &command->model, directory, &err) != ESP_OK ||
        esp_cutout_create(&command->options.cutout, command->model, &err) != ESP_OK)
        return fail(&err);
    if (spoken_read(&command->spoken, &command->options, &err) != ESP_OK || prepare(command, &err) != ESP_OK)
        return fail(&err);
    if (command->scores && report_scores_try(command->scores, &err) != ESP_OK)
        return fail(&err);
    return evaluate(command);
}

int esp_command_evaluate(int argc, char **argv)
{
    struct command command = {0};

    setlocale(LC_CTYPE, "C.UTF-8"); /* for names in archives: pictures.h */
    int status = parse(&command, argc, argv);

    if (status < 0)
        status = run(&command);
    sweep_release(&command.sweep);
    free(command.selected);
    picture_source_close(&command.source);
    labels_destroy(&command.known);
    esp_cutout_destroy(&command.options.cutout);
    esp_model_destroy(&command.model);
    return status;
}
