/* espalier evaluate: labels, pictures on disk, statistics of hand-made scores, the plan of a sweep, what is printed. */
#include "espalier/limits.h"
#include "server/evaluate/labels.h"
#include "server/evaluate/pictures.h"
#include "server/evaluate/progress.h"
#include "server/evaluate/report.h"
#include "server/evaluate/run.h"
#include "server/evaluate/statistics.h"
#include "server/evaluate/sweep.h"
#include "tests/support/networks.h"
#include "tests/support/support.h"
#include "tests/support/tree_directory.h"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CATEGORIES = 6, PATH = 256, LIMIT = 1000 };

/* Two categories are called cat; bus has an id that is another's name. */
static const struct tree_node nodes[] = {{0, 2, false, 0}, {1, 2, true, 0}, {2, 2, false, 0}, {2, 2, false, 0},
                                         {1, 2, true, 0},  {2, 2, true, 0}, {3, 2, false, 0}, {3, 2, false, 0},
                                         {2, 2, false, 0}, {1, 2, false, 0}};
static const struct tree_name names[] = {{NULL, NULL},    {"animal", NULL}, {"cat", "id-cat"},       {"dog", "id-dog"},
                                         {"thing", NULL}, {"small", NULL},  {"cat", "id-small-cat"}, {"pin", NULL},
                                         {"bus", "dog"},  {"sky", NULL}};
enum { CAT, DOG, SMALL_CAT, PIN, BUS, SKY };

static esp_model *model;
static char directory[DIRECTORY_MAX];

static void setup(void)
{
    ck_assert_ptr_nonnull(setlocale(LC_CTYPE, "C.UTF-8")); /* as in the program */
    model = load_named_tree(nodes, names, sizeof nodes / sizeof nodes[0]);
    ck_assert_uint_eq(esp_model_info(model)->categories, CATEGORIES);
    make_directory(directory);
}

static void teardown(void)
{
    remove_directory(directory);
    esp_model_destroy(&model);
}

/* A path below the test's directory, in a static buffer that the next call writes again. */
static const char *path_of(const char *name)
{
    static char path[PATH];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static const char *write_file(const char *name, const void *bytes, size_t size)
{
    const char *path = path_of(name);
    FILE *file = fopen(path, "wb");

    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
    return path;
}

/* ---- labels ---- */

static struct labels *labels_of(const char *list)
{
    struct labels *labels;
    struct esp_error err = {0};

    if (labels_create(&labels, model, list ? write_file("list", list, strlen(list)) : NULL, &err) != ESP_OK)
        ck_abort_msg("%s", err.text);
    return labels;
}

START_TEST(test_labels_of_the_network)
{
    static const struct {
        const char *path;
        size_t category;
    } cases[] = {
        {"pin/1.jpg", PIN},
        {"any/thing/pin/1.jpg", PIN},
        {"/pin/1.jpg", PIN},
        {"./pin/1.jpg", PIN},
        {"../../pin/1.jpg", PIN},
        {"id-cat/1.jpg", CAT},
        {"any/id-cat/1.jpg", CAT},
        {"animal/cat/1.jpg", CAT},
        {"thing/small/cat/1.jpg", SMALL_CAT},
        {"x/thing/small/cat/1.jpg", SMALL_CAT},
        {"dog/1.jpg", BUS}, /* ids before names */
        {"animal/dog/1.jpg", BUS},
        {"cat/1.jpg", SIZE_MAX},       /* which one? */
        {"small/cat/1.jpg", SIZE_MAX}, /* no path of the tree */
        {"animal/1.jpg", SIZE_MAX},    /* a group */
        {"pin", SIZE_MAX},             /* a file in no folder */
        {"/pin", SIZE_MAX},
        {"pin//1.jpg", SIZE_MAX},
        {"", SIZE_MAX},
        {"Pin/1.jpg", SIZE_MAX},
        {"trunk/1.jpg", SIZE_MAX},
    };
    struct labels *labels = labels_of(NULL);
    char far[ESP_PATH_MAX + 16];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_msg(labels_find(labels, cases[i].path) == cases[i].category, "%s", cases[i].path);
    memset(far, 'x', sizeof far);
    strcpy(far + sizeof far - sizeof "/1.jpg", "/1.jpg");
    ck_assert_uint_eq(labels_find(labels, far), SIZE_MAX);
    labels_destroy(&labels);
    ck_assert_ptr_null(labels);
}
END_TEST

START_TEST(test_labels_of_a_list)
{
    struct labels *labels = labels_of("0042\tsky\r\n\nid-cat\tthing/bus\na folder\tanimal/cat\tmore\n7\tpin");

    ck_assert_uint_eq(labels_find(labels, "a/0042/1.jpg"), SKY);
    ck_assert_uint_eq(labels_find(labels, "a/id-cat/1.jpg"), BUS); /* the list before the ids */
    ck_assert_uint_eq(labels_find(labels, "a folder/1.jpg"), CAT);
    ck_assert_uint_eq(labels_find(labels, "7/1.jpg"), PIN);
    ck_assert_uint_eq(labels_find(labels, "sky/1.jpg"), SKY); /* what it does not list is found as ever */
    labels_destroy(&labels);
}
END_TEST

START_TEST(test_lists_that_are_wrong)
{
    static const char *const cases[][2] = {
        {"a\tpin\nb sky\n", "line 2"},
        {"a\tpin\n\nb\tspoon\n", "line 3 of the labels: no category is called \"spoon\""},
        {"a\tcat\n", "\"cat\""},
        {"a\tanimal\n", "\"animal\""},
        {"a\t\n", "line 1"},
        {"b\tpin\na\tpin\nb\tsky\n", "\"b\" twice"}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct labels *labels;
        struct esp_error err = {0};
        const char *path = write_file("list", cases[i][0], strlen(cases[i][0]));
        ck_assert_int_eq(labels_create(&labels, model, path, &err), ESP_ERROR_ARGUMENT);
        ck_assert_msg(strstr(err.text, cases[i][1]) != NULL, "%s", err.text);
        labels_destroy(&labels);
    }
    struct labels *labels;
    struct esp_error err = {0};
    ck_assert_int_eq(labels_create(&labels, model, path_of("nowhere"), &err), ESP_ERROR_IO);
    ck_assert_ptr_nonnull(strstr(err.text, "nowhere"));
    labels_destroy(&labels);
}
END_TEST

/* ---- pictures ---- */

/* What a source gives: "name=first byte*size" for each, or "name too large", and the error's text at the end. */
static char *list_of(const char *path, size_t *others)
{
    struct picture_source *source;
    struct picture picture;
    struct esp_error err = {0};
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    double done = 0;

    if (picture_source_open(&source, path, LIMIT, &err) == ESP_OK) {
        while (picture_source_next(source, &picture, &err) == ESP_OK && picture.name) {
            if (picture.bytes)
                fprintf(out, "%s=%c*%zu\n", picture.name, picture.size ? picture.bytes[0] : '-', picture.size);
            else
                fprintf(out, "%s too large\n", picture.name);
            picture_release(&picture);
            ck_assert_double_ge(picture_source_done(source), done);
            done = picture_source_done(source);
            ck_assert_double_le(done, 1);
        }
        if (others)
            *others = picture_source_others(source);
    }
    fprintf(out, "%s", err.text);
    ck_assert(err.status == ESP_OK || err.status == ESP_ERROR_IO);
    picture_source_close(&source);
    ck_assert_ptr_null(source);
    fclose(out);
    return text;
}

START_TEST(test_a_directory)
{
    static const char *const made[] = {"b", "a", "a/z.d", "a/z.d/deep", "empty.jpg"};
    static const char bytes[LIMIT + 1] = "x";
    size_t others;
    char link[PATH];

    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++)
        ck_assert_int_eq(mkdir(path_of(made[i]), 0700), 0);
    write_file("b/2.jpg", "two", 3);
    write_file("b/10.JPEG", "ten", 3);
    write_file("a/z.d/deep/1.jpe", "one", 3);
    write_file("a/most.jpg", bytes, LIMIT);
    write_file("a/more.jpg", bytes, LIMIT + 1);
    write_file("a/none.jpg", "", 0);
    write_file("a/jpg", "", 0);
    write_file("a/1.png", "", 0);
    write_file("top.jpg", "top", 3);
    snprintf(link, sizeof link, "%s", path_of("b/2.jpg"));
    ck_assert_int_eq(symlink(link, path_of("a/link.jpg")), 0);
    ck_assert_int_eq(symlink("nowhere", path_of("a/dangling.jpg")), 0);
    for (int slash = 0; slash < 2; slash++) {
        char *list = list_of(path_of(slash ? "/" : ""), &others);
        ck_assert_str_eq(list, "a/link.jpg=t*3\na/more.jpg too large\na/most.jpg=x*1000\na/none.jpg=-*0\n"
                               "a/z.d/deep/1.jpe=o*3\nb/10.JPEG=t*3\nb/2.jpg=t*3\ntop.jpg=t*3\n");
        ck_assert_uint_eq(others, 3);
        free(list);
    }
}
END_TEST

START_TEST(test_a_file_that_is_gone)
{
    struct picture_source *source;
    struct picture picture;
    struct esp_error err = {0};

    write_file("1.jpg", "one", 3);
    ck_assert_int_eq(picture_source_open(&source, directory, LIMIT, &err), ESP_OK);
    unlink(path_of("1.jpg"));
    ck_assert_int_eq(picture_source_next(source, &picture, &err), ESP_ERROR_IO);
    ck_assert_ptr_nonnull(strstr(err.text, "1.jpg"));
    picture_source_close(&source);
}
END_TEST

static void add_entry(struct archive *archive, const char *name, mode_t type, const char *bytes, size_t size)
{
    struct archive_entry *entry = archive_entry_new();

    archive_entry_set_pathname_utf8(entry, name);
    archive_entry_set_filetype(entry, type);
    archive_entry_set_perm(entry, 0600);
    archive_entry_set_size(entry, (la_int64_t)size);
    if (type == AE_IFLNK)
        archive_entry_set_symlink(entry, "/etc/passwd");
    ck_assert_msg(archive_write_header(archive, entry) >= ARCHIVE_WARN, "%s", archive_error_string(archive));
    ck_assert_int_eq(archive_write_data(archive, bytes, size), (la_ssize_t)size);
    archive_entry_free(entry);
}

/* The endings say format and compression. */
static const char *write_archive(const char *name)
{
    static char path[PATH], many[LIMIT + 1];
    struct archive *archive = archive_write_new();

    snprintf(path, sizeof path, "%s", path_of(name));
    memset(many, 'm', sizeof many);
    ck_assert_int_ge(archive_write_set_format_filter_by_ext(archive, path), ARCHIVE_WARN);
    if (strstr(name, ".tar"))
        ck_assert_int_eq(archive_write_set_format_pax_restricted(archive), ARCHIVE_OK);
    ck_assert_int_eq(archive_write_open_filename(archive, path), ARCHIVE_OK);
    add_entry(archive, "z", AE_IFDIR, NULL, 0);
    add_entry(archive, "z/1.jpg", AE_IFREG, "one", 3);
    add_entry(archive, "a/../../2.jpg", AE_IFREG, "two", 3);
    add_entry(archive, "/etc/3.jpg", AE_IFREG, many, LIMIT);
    add_entry(archive, "a/more.jpg", AE_IFREG, many, LIMIT + 1);
    add_entry(archive, "a/link.jpg", AE_IFLNK, NULL, 0);
    add_entry(archive, "a/b.txt", AE_IFREG, many, LIMIT);
    add_entry(archive, "a/none.jpg", AE_IFREG, NULL, 0);
    add_entry(archive,
              "donn\xc3\xa9"
              "es/4.jpg",
              AE_IFREG, "four", 4);
    add_entry(archive, "a/line\n\x1b[31m.jpg", AE_IFREG, "red", 3);
    ck_assert_int_eq(archive_write_close(archive), ARCHIVE_OK);
    archive_write_free(archive);
    return path;
}

static const char *const archives[] = {"a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz", "a.zip"};

START_TEST(test_an_archive)
{
    size_t others;
    char *list = list_of(write_archive(archives[_i]), &others);

    ck_assert_str_eq(list, "z/1.jpg=o*3\na/../../2.jpg=t*3\n/etc/3.jpg=m*1000\na/more.jpg too large\na/none.jpg=-*0\n"
                           "donn\xc3\xa9"
                           "es/4.jpg=f*4\na/line\n\x1b[31m.jpg=r*3\n");
    ck_assert_uint_eq(others, 2);
    free(list);
}
END_TEST

START_TEST(test_a_truncated_archive)
{
    const char *path = write_archive(archives[_i]);
    struct stat about;

    ck_assert_int_eq(stat(path, &about), 0);
    ck_assert_int_eq(truncate(path, about.st_size / 4), 0);
    char *list = list_of(path, NULL), *last = strrchr(list, '\n');
    ck_assert_msg(strstr(last ? last : list, path) != NULL, "%s", list);
    free(list);
}
END_TEST

START_TEST(test_what_is_no_archive)
{
    static const char *const cases[] = {"", "no archive, but some text that is long enough to be looked at\n",
                                        "#mtree\n./etc type=dir\n./etc/1.jpg type=file contents=/etc/passwd\n"};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *list = list_of(write_file("a.tar", cases[i], strlen(cases[i])), NULL);
        ck_assert_msg(strstr(list, "a.tar: Unrecognized archive format") != NULL, "%s", list);
        free(list);
    }
    char *list = list_of(path_of("nowhere"), NULL);
    ck_assert_ptr_nonnull(strstr(list, "nowhere: No such file"));
    free(list);
}
END_TEST

/* ---- an evaluation by hand ---- */

static bool selected[CATEGORIES];
static struct evaluation evaluation;

static void setup_evaluation(void)
{
    setup();
    memset(selected, true, sizeof selected);
    evaluation = (struct evaluation){.model = model, .selected = selected};
}

static void teardown_evaluation(void)
{
    evaluation_release(&evaluation);
    teardown();
}

static struct evaluated *add(size_t truth, const float scores[CATEGORIES])
{
    struct evaluated *picture = evaluation_add(&evaluation, strdup("a/1.jpg"), truth);

    ck_assert_ptr_nonnull(picture);
    for (size_t i = 0; i < CATEGORIES; i++)
        ck_assert(isnan(picture->scores[i]));
    memcpy(picture->scores, scores, CATEGORIES * sizeof *scores);
    return picture;
}

static void add_fault(size_t truth)
{
    static const float none[CATEGORIES] = {NAN, NAN, NAN, NAN, NAN, NAN};
    add(truth, none)->fault = strdup("broken");
    evaluation.faults++;
}

START_TEST(test_accuracy)
{
    struct accuracy accuracy = statistics_accuracy(&evaluation);

    ck_assert(accuracy.pictures == 0 && isnan(accuracy.top1) && isnan(accuracy.top5));
    add(CAT, (float[]){9, 1, 2, 3, 4, 5});           /* first */
    add(DOG, (float[]){9, 8, 2, 3, 4, 5});           /* second */
    add(SMALL_CAT, (float[]){9, 8, 1, 7, 6, 5});     /* last */
    add(PIN, (float[]){9, 8, 7, 4, 6, 5});           /* the same */
    add(BUS, (float[]){9, 8, 7, 6, 5, 4});           /* fifth */
    add(CAT, (float[]){3, 3, 3, 3, 3, 3});           /* the first of equals */
    add(SKY, (float[]){3, 3, 3, 3, 3, 3});           /* the sixth of equals */
    add(BUS, (float[]){3, 3, 3, 3, 3, 3});           /* the fifth */
    add(SKY, (float[]){9, 8, 7, NAN, NAN, NAN});     /* did not run: never right, though fewer than five did */
    add(SKY, (float[]){NAN, NAN, -9, NAN, NAN, -1}); /* first of those that ran */
    add_fault(CAT);
    accuracy = statistics_accuracy(&evaluation);
    ck_assert_uint_eq(accuracy.pictures, 10);
    ck_assert_double_eq_tol(accuracy.top1, 0.3, 1e-12);
    ck_assert_double_eq_tol(accuracy.top5, 0.6, 1e-12);
}
END_TEST

START_TEST(test_only_selected_categories_count)
{
    selected[SKY] = false;
    add(SKY, (float[]){9, 1, 2, 3, 4, NAN});
    add(CAT, (float[]){9, 1, 2, 3, 4, NAN});
    ck_assert_uint_eq(statistics_accuracy(&evaluation).pictures, 1);
    ck_assert_double_eq(statistics_accuracy(&evaluation).top1, 1);
    ck_assert_uint_eq(statistics_group(&evaluation, 1).pictures, 1);
}
END_TEST

START_TEST(test_groups)
{
    enum { ANIMAL = 1, THING = 4, SMALL = 5 };
    struct group_accuracy group;

    add(CAT, (float[]){9, 1, 2, 3, 4, 5}); /* right */
    add(CAT, (float[]){1, 9, 2, 3, 4, 5}); /* another animal */
    add(DOG, (float[]){1, 2, 9, 3, 4, 5}); /* a small thing */
    add(PIN, (float[]){1, 2, 9, 3, 4, 5}); /* another small thing */
    add(PIN, (float[]){1, 2, 3, 4, 9, 5}); /* a thing that is not small */
    add(PIN, (float[]){NAN, NAN, NAN, NAN, NAN, NAN});
    add(SKY, (float[]){9, 2, 3, 4, 1, 5}); /* in no group */
    add_fault(CAT);
    group = statistics_group(&evaluation, ANIMAL);
    ck_assert_uint_eq(group.pictures, 3);
    ck_assert_double_eq_tol(group.top1, 1 / 3., 1e-12);
    ck_assert_double_eq_tol(group.group, 2 / 3., 1e-12);
    group = statistics_group(&evaluation, SMALL);
    ck_assert_uint_eq(group.pictures, 3);
    ck_assert_double_eq(group.top1, 0);
    ck_assert_double_eq_tol(group.group, 1 / 3., 1e-12);
    group = statistics_group(&evaluation, THING);
    ck_assert_uint_eq(group.pictures, 3);
    ck_assert_double_eq_tol(group.group, 2 / 3., 1e-12);
    evaluation_release(&evaluation);
    ck_assert(isnan(statistics_group(&evaluation, ANIMAL).group));
}
END_TEST

START_TEST(test_probability)
{
    float ln3 = logf(3), big = 1000;
    struct calibration calibration;

    statistics_probability(&evaluation, &calibration);
    ck_assert(isnan(calibration.error) && isnan(calibration.bins[0].mean));
    add(CAT, (float[]){ln3, 0, NAN, NAN, NAN, NAN});    /* 0.75, right */
    add(DOG, (float[]){ln3, 0, NAN, NAN, NAN, NAN});    /* 0.75, wrong */
    add(SKY, (float[]){NAN, NAN, ln3, NAN, NAN, 0});    /* 0.75, wrong */
    add(CAT, (float[]){big, -big, NAN, NAN, NAN, NAN}); /* 1, right: in the last bin */
    add(CAT, (float[]){NAN, NAN, NAN, NAN, NAN, NAN});  /* no answer */
    add_fault(CAT);
    statistics_probability(&evaluation, &calibration);
    for (int i = 0; i < CALIBRATION_BINS; i++)
        ck_assert_uint_eq(calibration.bins[i].count, i == 7 ? 3 : i == 9 ? 1 : 0);
    ck_assert_double_eq_tol(calibration.bins[7].mean, 0.75, 1e-6);
    ck_assert_double_eq_tol(calibration.bins[7].right, 1 / 3., 1e-12);
    ck_assert_double_eq(calibration.bins[9].mean, 1);
    ck_assert_double_eq(calibration.bins[9].right, 1);
    ck_assert_double_eq_tol(calibration.error, (3 * (0.75 - 1 / 3.) + 0) / 4, 1e-6);
}
END_TEST

START_TEST(test_cost)
{
    double macs, parameters;

    statistics_cost(&evaluation, &macs, &parameters);
    ck_assert(isnan(macs) && isnan(parameters));
    for (uint64_t i = 1; i <= 2; i++) {
        struct evaluated *picture = add(CAT, (float[CATEGORIES]){0});
        picture->macs = 100 * i;
        picture->parameters = 10 * i;
    }
    add_fault(CAT);
    statistics_cost(&evaluation, &macs, &parameters);
    ck_assert_double_eq(macs, 150);
    ck_assert_double_eq(parameters, 15);
}
END_TEST

START_TEST(test_attended)
{
    static const double weights[] = {0, 2};
    static const size_t attended[] = {DOG, PIN};
    static const float swept[][4] = {{NAN, NAN, 6, 1}, {NAN, NAN, 4, 6}, {NAN, NAN, 6, 1}, {NAN, NAN, 1, 7}};

    evaluation.sweep = (struct weight_sweep){weights, 2, attended, 2};
    memcpy(add(DOG, (float[]){5, 4, 0, 0, 0, 0})->swept, swept[0], sizeof swept[0]); /* becomes right */
    memcpy(add(PIN, (float[]){5, 0, 0, 6, 0, 0})->swept, swept[1], sizeof swept[1]); /* stays right */
    memcpy(add(PIN, (float[]){0, 0, 0, 1, 5, 0})->swept, swept[2], sizeof swept[2]); /* attended, but wrong */
    memcpy(add(SKY, (float[]){5, 0, 0, 6, 0, 9})->swept, swept[3], sizeof swept[3]); /* something else, still right */
    memcpy(add(SKY, (float[]){5, 0, 0, 6, 0, 6})->swept, swept[3], sizeof swept[3]); /* taken for a pin */
    add_fault(DOG);

    struct attended silenced = statistics_attended(&evaluation, 0), twice = statistics_attended(&evaluation, 1);
    ck_assert_double_eq(silenced.recall, 0);
    ck_assert(isnan(silenced.precision)); /* no answer is an attended category */
    ck_assert_double_eq(silenced.false_positives, 0);
    ck_assert_double_eq_tol(twice.recall, 2 / 3., 1e-12);
    ck_assert_double_eq_tol(twice.precision, 2 / 4., 1e-12);
    ck_assert_double_eq_tol(twice.false_positives, 1 / 2., 1e-12);
}
END_TEST

START_TEST(test_confidence)
{
    char network[DIRECTORY_MAX];
    struct calibration calibration;
    struct single singles[CONFIDENCE_LIMITS];
    struct esp_error err = {0};

    esp_model_destroy(&model);
    make_directory(network);
    copy_network("tests/golden/layers/nested_layers", network, true);
    ck_assert_int_eq(esp_model_load(&model, network, NULL, &err), ESP_OK);
    ck_assert_uint_eq(esp_model_info(model)->categories, CATEGORIES);
    remove_directory(network);
    evaluation.model = model;

    /* The scores that give these confidences. */
    static const double said[][CATEGORIES] = {{0.95, 0.05, 0.05, NAN, NAN, NAN}, {0.85, 0.3, NAN, NAN, NAN, NAN}};
    for (size_t i = 0; i < 2; i++) {
        float scores[CATEGORIES];
        for (size_t c = 0; c < CATEGORIES; c++) {
            const struct esp_calibration *fit = &esp_model_node(model, esp_model_category_node(model, c))->calibration;
            scores[c] = (float)((log(said[i][c] / (1 - said[i][c])) - fit->offset) / fit->slope);
        }
        add(i, scores);
    }
    add_fault(0);
    statistics_confidence(&evaluation, &calibration, singles);
    for (int i = 0; i < CALIBRATION_BINS; i++)
        ck_assert_uint_eq(calibration.bins[i].count, i == 0 ? 2 : i == 3 || i == 8 || i == 9 ? 1 : 0);
    ck_assert_double_eq_tol(calibration.bins[0].mean, 0.05, 1e-6);
    ck_assert_double_eq(calibration.bins[3].right, 1);
    ck_assert_double_eq(calibration.bins[8].right, 0);
    ck_assert_double_eq_tol(calibration.error, (2 * 0.05 + 0.7 + 0.85 + 0.05) / 5, 1e-6);

    static const double limits[] = {0.2, 0.5, 0.8, 0.9}, others[] = {1, 1, 1, 0}, own[] = {2, 1, 1, 1};
    for (int i = 0; i < CONFIDENCE_LIMITS; i++) {
        ck_assert_double_eq(singles[i].limit, limits[i]);
        ck_assert_double_eq_tol(singles[i].others, others[i] / 3, 1e-12);
        ck_assert_double_eq_tol(singles[i].own, own[i] / 2, 1e-12);
        ck_assert_double_eq_tol(singles[i].correct, own[i] / (own[i] + others[i]), 1e-12);
    }
}
END_TEST

START_TEST(test_unknown_folders)
{
    static const char *const paths[] = {"a/x/1.jpg", "x/2.jpg",   "y/x/3.jpg",    "4.jpg",
                                        "/5.jpg",    "a/y/6.jpg", "\x1b[0m/7.jpg"};
    static const char *const folders[] = {"x", "", "y", "?[0m"};
    static const size_t counts[] = {3, 2, 1, 1};

    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        ck_assert(evaluation_unknown(&evaluation, paths[i]));
    ck_assert_uint_eq(evaluation.unknown_count, 4);
    for (size_t i = 0; i < 4; i++) {
        ck_assert_str_eq(evaluation.unknown[i].name, folders[i]);
        ck_assert_uint_eq(evaluation.unknown[i].pictures, counts[i]);
    }
}
END_TEST

/* Whoever makes an archive does not talk to the terminal of who evaluates it, nor add lines to a table. */
START_TEST(test_names_are_printable)
{
    struct evaluated *picture = evaluation_add(&evaluation, strdup("a\tb\nc\r\x1b[31m\x7f\xc3\xa9.jpg"), CAT);
    ck_assert_str_eq(picture->name, "a?b?c??[31m?\xc3\xa9.jpg");
}
END_TEST

/* ---- reports ---- */

static char *csv(void)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    report_csv(out, &evaluation);
    fclose(out);
    return text;
}

START_TEST(test_csv)
{
    struct evaluated *picture = add(CAT, (float[]){9, 1, 2, 3, 4, 5});

    picture->macs = 123456789012; /* of a large network: to the last digit */
    add_fault(DOG);
    char *text = csv();
    ck_assert_ptr_eq(strstr(text, "table,row,column,value\naccuracy,all,pictures,1\naccuracy,all,top1,1\n"), text);
    ck_assert_ptr_nonnull(strstr(text, "\ncost,mean,macs,123456789012\n"));
    ck_assert_ptr_nonnull(strstr(text, "\nleft_out,unreadable,pictures,1\n"));
    ck_assert_ptr_nonnull(strstr(text, "\ngroups,animal,top1,1\n"));
    ck_assert_ptr_null(strstr(text, "thing"));                        /* nobody shows one */
    ck_assert_ptr_nonnull(strstr(text, "\nprobability,0.3,mean,\n")); /* of nothing */
    ck_assert_ptr_null(strstr(text, "confidence"));                   /* the network has none */
    free(text);
}
END_TEST

START_TEST(test_scores_that_cannot_be_written)
{
    struct esp_error err = {0};

    add(CAT, (float[]){9, 1, 2, 3, 4, 5});
    ck_assert_int_eq(report_scores(path_of("nowhere/a.npy"), &evaluation, &err), ESP_ERROR_IO);
    ck_assert_ptr_nonnull(strstr(err.text, "nowhere/a.npy"));
}
END_TEST

/* Half of 100 pictures after 20 seconds, shown twice at once: the second time is too early. */
static void show_half(bool terminal, char *text, size_t size)
{
    struct progress progress;
    FILE *out = tmpfile();

    ck_assert_ptr_nonnull(out);
    progress_begin(&progress, out);
    ck_assert(!progress.terminal);
    progress.terminal = terminal;
    progress.begun -= UINT64_C(20000000000);
    progress.shown = progress.begun;
    progress_show(&progress, 0.5, 100);
    progress_show(&progress, 0.5, 100);
    progress_end(&progress);
    rewind(out);
    text[fread(text, 1, size - 1, out)] = 0;
    fclose(out);
}

START_TEST(test_progress)
{
    char text[256];

    show_half(false, text, sizeof text);
    ck_assert_str_eq(text, " 50 %  100 pictures, 5/s, 20 s to go\n");
    show_half(true, text, sizeof text);
    ck_assert_str_eq(text, "\r[===============>              ]  50 %  100 pictures, 5/s, 20 s to go\x1b[K\r\x1b[K");
}
END_TEST

/* ---- a run ---- */

/* What the progress was told last, and how often. */
struct told {
    double done;
    size_t pictures, times;
};

static void tell(void *context, double done, size_t pictures)
{
    struct told *told = context;

    ck_assert_double_ge(done, told->done);
    ck_assert_double_le(done, 1);
    *told = (struct told){done, pictures, told->times + 1};
}

/* How far a run says it is at its end, with four pictures that cannot be decoded. */
static struct told progress_of(size_t first)
{
    struct picture_source *source;
    struct labels *labels = labels_of(NULL);
    esp_cutout *cutout = make_cutout(model, NULL);
    struct told told = {0};
    struct esp_error err = {0};

    ck_assert_int_eq(picture_source_open(&source, directory, LIMIT, &err), ESP_OK);
    struct evaluate_run run = {.source = source,
                               .labels = labels,
                               .cutout = cutout,
                               .threads = 2,
                               .first = first,
                               .bytes_max = LIMIT,
                               .progress = tell,
                               .context = &told};
    if (evaluate_run(&run, &evaluation, &err) != ESP_OK)
        ck_abort_msg("%s", err.text);
    ck_assert_uint_eq(evaluation.faults, evaluation.count);
    evaluation_release(&evaluation);
    evaluation.faults = 0;
    picture_source_close(&source);
    labels_destroy(&labels);
    esp_cutout_destroy(&cutout);
    return told;
}

START_TEST(test_progress_of_a_run)
{
    static const size_t firsts[] = {0, 1, 3, 4, 9}, ends[] = {4, 1, 3, 4, 4};
    static const char *const files[] = {"sky/1.jpg", "sky/2.jpg", "sky/3.jpg", "sky/4.jpg"};

    ck_assert_int_eq(mkdir(path_of("sky"), 0700), 0);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        write_file(files[i], "no picture", 10);
    for (size_t i = 0; i < sizeof firsts / sizeof firsts[0]; i++) {
        struct told told = progress_of(firsts[i]);
        ck_assert_uint_eq(told.times, ends[i]);
        ck_assert_uint_eq(told.pictures, ends[i]);
        ck_assert_double_eq(told.done, 1);
    }
}
END_TEST

/* ---- the sweep ---- */

/* The plan, or the error's text, for the cutout of `only` (NULL: of all). */
static const char *plan_of(struct sweep_plan *plan, const char *only, const char *attended, const char *weights,
                           const char *attention)
{
    static struct esp_error err;
    esp_cutout *cutout = make_cutout(model, only ? (const char *[]){only, NULL} : NULL);

    err = (struct esp_error){0};
    enum esp_status status = sweep_plan(plan, cutout, attended, weights, attention, &err);
    esp_cutout_destroy(&cutout);
    ck_assert(status == ESP_OK || status == ESP_ERROR_ARGUMENT);
    return status == ESP_OK ? NULL : err.text;
}

START_TEST(test_sweep)
{
    struct sweep_plan plan;

    ck_assert_ptr_null(plan_of(&plan, NULL, "small,dog", "0,0.5,16", "sky:0"));
    ck_assert_uint_eq(plan.weights_count, 3);
    ck_assert_double_eq(plan.weights[1], 0.5);
    ck_assert_uint_eq(plan.attended_count, 3);
    ck_assert(plan.attended[0] == DOG && plan.attended[1] == SMALL_CAT && plan.attended[2] == PIN);
    ck_assert_ptr_null(plan.cutouts[0]); /* silenced */
    ck_assert(plan.cutouts[1] && plan.cutouts[2]);
    for (size_t i = 0; i < CATEGORIES; i++)
        ck_assert_int_eq(esp_cutout_scores(plan.cutouts[1], esp_model_category_node(model, i)),
                         i == DOG || i == SMALL_CAT || i == PIN);
    sweep_release(&plan);
    ck_assert_uint_eq(plan.weights_count, 0);
    ck_assert_ptr_null(plan_of(&plan, NULL, "dog", "2", "")); /* no other attention */
    sweep_release(&plan);
}
END_TEST

START_TEST(test_sweeps_that_are_wrong)
{
    static const struct {
        const char *only, *attended, *weights, *attention, *said;
    } cases[] = {
        {NULL, "dog", "", NULL, "--weights"},
        {NULL, "dog", "1,", NULL, "--weights"},
        {NULL, "dog", "1;2", NULL, "--weights \"1;2\""},
        {NULL, "dog", "-0.1", NULL, "0 to 16"},
        {NULL, "dog", "16.1", NULL, "0 to 16"},
        {NULL, "dog", "nan", NULL, "0 to 16"},
        {NULL, "dog", "inf", NULL, "0 to 16"},
        {NULL, "dug", "1", NULL, "dog"},
        {NULL, "cat", "1", NULL, "animal/cat"},
        {NULL, "", "1", NULL, "--attention-sweep"},
        {NULL, "dog,", "1", NULL, "--attention-sweep"},
        {NULL, "dog", "1", "dog:2", "--attention-sweep"}, /* twice */
        {NULL, "dog", "1", "animal:0", "--attention-sweep"},
        {"animal", "pin", "1", NULL, "thing/small/pin is not among"},
    };
    struct sweep_plan plan;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *text = plan_of(&plan, cases[i].only, cases[i].attended, cases[i].weights, cases[i].attention);
        ck_assert_msg(text && strstr(text, cases[i].said), "%s with %s: %s", cases[i].attended, cases[i].weights, text);
        sweep_release(&plan);
    }
}
END_TEST

START_TEST(test_as_many_weights_as_there_may_be)
{
    struct sweep_plan plan;
    char weights[2 * SWEEP_WEIGHTS_MAX + 2];

    for (size_t i = 0; i <= SWEEP_WEIGHTS_MAX; i++)
        memcpy(weights + 2 * i, "1,", 2);
    weights[2 * SWEEP_WEIGHTS_MAX + 1] = 0;
    ck_assert_ptr_nonnull(strstr(plan_of(&plan, NULL, "dog", weights, NULL), "more than 64"));
    sweep_release(&plan);
    weights[2 * SWEEP_WEIGHTS_MAX - 1] = 0;
    ck_assert_ptr_null(plan_of(&plan, NULL, "dog", weights, NULL));
    ck_assert_uint_eq(plan.weights_count, SWEEP_WEIGHTS_MAX);
    sweep_release(&plan);
}
END_TEST

START_TEST(test_no_sweep_of_a_search)
{
    struct sweep_plan plan;
    struct esp_error err = {0};
    esp_cutout *cutout;

    ck_assert_int_eq(esp_cutout_create(&cutout, model, &err), ESP_OK);
    esp_cutout_beam(cutout, 1);
    if (esp_cutout_close(cutout, &err) != ESP_OK)
        ck_abort_msg("%s", err.text);
    ck_assert_int_eq(sweep_plan(&plan, cutout, "pin", "1", NULL, &err), ESP_ERROR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(err.text, "--search"));
    sweep_release(&plan);
    esp_cutout_destroy(&cutout);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("evaluate");
    TCase *files = tcase_create("files"), *scores = tcase_create("scores");
    int kinds = sizeof archives / sizeof archives[0];

    tcase_add_checked_fixture(files, setup, teardown);
    tcase_add_test(files, test_labels_of_the_network);
    tcase_add_test(files, test_labels_of_a_list);
    tcase_add_test(files, test_lists_that_are_wrong);
    tcase_add_test(files, test_a_directory);
    tcase_add_test(files, test_a_file_that_is_gone);
    tcase_add_loop_test(files, test_an_archive, 0, kinds);
    tcase_add_loop_test(files, test_a_truncated_archive, 0, kinds);
    tcase_add_test(files, test_what_is_no_archive);
    tcase_add_test(files, test_sweep);
    tcase_add_test(files, test_sweeps_that_are_wrong);
    tcase_add_test(files, test_as_many_weights_as_there_may_be);
    tcase_add_test(files, test_no_sweep_of_a_search);
    suite_add_tcase(suite, files);
    tcase_add_checked_fixture(scores, setup_evaluation, teardown_evaluation);
    tcase_add_test(scores, test_accuracy);
    tcase_add_test(scores, test_only_selected_categories_count);
    tcase_add_test(scores, test_groups);
    tcase_add_test(scores, test_probability);
    tcase_add_test(scores, test_cost);
    tcase_add_test(scores, test_attended);
    tcase_add_test(scores, test_confidence);
    tcase_add_test(scores, test_unknown_folders);
    tcase_add_test(scores, test_names_are_printable);
    tcase_add_test(scores, test_csv);
    tcase_add_test(scores, test_scores_that_cannot_be_written);
    tcase_add_test(scores, test_progress);
    tcase_add_test(scores, test_progress_of_a_run);
    suite_add_tcase(suite, scores);
    return run_suite(suite);
}
