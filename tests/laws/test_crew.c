/* The laws where branches are taken over: whoever runs what, bits and costs are those of a run alone. */
#include "core/memory.h"
#include "espalier/crew.h"
#include "espalier/limits.h"
#include "tests/support/allocations.h"
#include "tests/support/support.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { INPUT = 3 * 64 * 64, SAMPLES = 24, MEMBERS = 4, BATCH = 8, ROUNDS = 40 };

/* An image with a cutout, and what comes out when nobody helps. */
struct sample {
    float input[INPUT];
    esp_cutout *cutout;
    struct esp_job alone;
};

static esp_model *model;
static struct sample samples[SAMPLES];
static esp_crew *crew;

/* Every second one searches, with a narrow beam, a budget that may be too small, or both. */
static void choose_search(esp_cutout *cutout, uint64_t *random)
{
    if (random_below(random, 2))
        return;
    esp_cutout_beam(cutout, random_below(random, 4));
    if (random_below(random, 2))
        esp_cutout_budget(cutout, esp_model_info(model)->macs / (1 + random_below(random, 4)));
}

/* The whole network, or 1 to 12 nodes, groups and realms among them; up to 6 weights, silencing ones too. */
static bool choose(esp_cutout *cutout, uint64_t *random)
{
    size_t nodes = esp_model_info(model)->nodes, selected = random_below(random, 13);

    esp_cutout_reset(cutout);
    for (; selected > 0; selected--) {
        const char *path = esp_model_node(model, 1 + random_below(random, nodes - 1))->path;
        esp_cutout_select(cutout, path, strlen(path), NULL);
    }
    for (size_t n = random_below(random, 7); n > 0; n--) { /* one that is there already is refused */
        const char *path = esp_model_node(model, random_below(random, nodes))->path;
        esp_cutout_attend(cutout, path, strlen(path), (double)random_below(random, 9) / 4, NULL);
    }
    esp_cutout_groups(cutout, random_below(random, 2));
    choose_search(cutout, random);
    return esp_cutout_close(cutout, NULL) == ESP_OK;
}

static void setup(void)
{
    uint64_t random = 31;

    model = load_bundled("auto");
    esp_instance *alone = make_instance(model, 1);
    for (size_t i = 0; i < SAMPLES; i++) {
        random_floats(&random, samples[i].input, INPUT);
        ck_assert_int_eq(esp_cutout_create(&samples[i].cutout, model, NULL), ESP_OK);
        while (!choose(samples[i].cutout, &random))
            ;
        samples[i].alone = run_job(alone, samples[i].cutout, samples[i].input);
    }
    esp_instance_destroy(&alone);
    ck_assert_int_eq(esp_crew_create(&crew, model, MEMBERS, BATCH, NULL), ESP_OK);
}

static void teardown(void)
{
    esp_crew_destroy(&crew);
    for (size_t i = 0; i < SAMPLES; i++) {
        esp_cutout_destroy(&samples[i].cutout);
        free_job(&samples[i].alone);
    }
    esp_model_destroy(&model);
}

/* A batch of samples, with room for what comes out. */
struct batch {
    size_t count;
    struct sample *of[BATCH];
    struct esp_job jobs[BATCH];
    float scores[BATCH][512];
    uint8_t ran[BATCH][512];
};

static void draw(struct batch *batch, uint64_t *random)
{
    batch->count = 1 + random_below(random, BATCH);
    for (size_t i = 0; i < batch->count; i++) {
        struct sample *sample = &samples[random_below(random, SAMPLES)];
        memset(batch->scores[i], 0xff, sizeof batch->scores[i]);
        batch->of[i] = sample;
        batch->jobs[i] = (struct esp_job){
            .cutout = sample->cutout, .input = sample->input, .scores = batch->scores[i], .ran = batch->ran[i]};
    }
}

/* No check macros: threads use it, too. */
static bool as_alone(const struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct esp_job *job = &batch->jobs[i], *alone = &batch->of[i]->alone;
        if (memcmp(&job->cost, &alone->cost, sizeof job->cost) != 0)
            return false;
        for (size_t node = 0; node < esp_model_info(model)->nodes; node++)
            if (esp_job_ran(job, node) != esp_job_ran(alone, node) ||
                (esp_job_scored(alone, node) && memcmp(&job->scores[node], &alone->scores[node], sizeof(float)) != 0))
                return false;
    }
    return true;
}

/* ---- helpers that help whenever branches turn up, in the same thread: the same on every machine ---- */

struct eager {
    uint64_t random;
    size_t working; /* members in use: 0 runs, the next ones help, each at a branch of the one before */
    size_t helped;
};

/* Called again from inside, as those who help come to branches, too: then the next member helps them. */
static void help_now(void *context, size_t branches)
{
    struct eager *eager = context;

    if (eager->working == MEMBERS)
        return;
    esp_instance *helper = esp_crew_instance(crew, eager->working++);
    for (size_t n = random_below(&eager->random, branches + 2); n > 0 && esp_crew_help(helper); n--)
        eager->helped++;
    eager->working--;
}

START_TEST(test_helped_runs_have_the_same_bits)
{
    static struct batch batch;
    struct eager eager = {.random = 5, .working = 1};
    uint64_t random = 17;

    esp_crew_on_branches(crew, help_now, &eager);
    for (int round = 0; round < ROUNDS; round++) {
        draw(&batch, &random);
        ck_assert_int_eq(esp_instance_run(esp_crew_instance(crew, 0), batch.jobs, batch.count, NULL), ESP_OK);
        ck_assert(as_alone(&batch));
    }
    ck_assert_uint_gt(eager.helped, ROUNDS);
    ck_assert(!esp_crew_help(esp_crew_instance(crew, 1))); /* nothing is left over */
}
END_TEST

/* Law 4 */
START_TEST(test_helped_runs_allocate_nothing)
{
    static struct batch batch;
    struct eager eager = {.random = 5, .working = 1};
    uint64_t random = 18, engine = 0, process = 0;
    bool good = true;

    esp_crew_on_branches(crew, help_now, &eager);
    for (int round = 0; round < 4; round++) {
        if (round == 1) { /* the first round may warm a library up */
            engine = esp_allocations();
            process = process_allocations();
        }
        draw(&batch, &random);
        good = esp_instance_run(esp_crew_instance(crew, 0), batch.jobs, batch.count, NULL) == ESP_OK && good;
    }
    engine = esp_allocations() - engine;
    process = process_allocations() - process;
    ck_assert(good);
    ck_assert_uint_gt(eager.helped, 0);
    ck_assert_uint_eq(engine, 0);
    ck_assert_uint_eq(process, 0);
}
END_TEST

/* ---- threads ---- */

static atomic_bool over;
static atomic_size_t helped, wrong;

static void *keep_helping(void *instance)
{
    while (!atomic_load(&over)) {
        if (esp_crew_help(instance))
            atomic_fetch_add(&helped, 1);
        else
            sched_yield();
    }
    return NULL;
}

/* Runs batches, lending a hand in between. */
static void *keep_running(void *instance)
{
    struct batch *batch = malloc(sizeof *batch);
    uint64_t random = (uintptr_t)instance;

    for (int round = 0; round < ROUNDS; round++) {
        draw(batch, &random);
        if (esp_instance_run(instance, batch->jobs, batch->count, NULL) != ESP_OK || !as_alone(batch))
            atomic_fetch_add(&wrong, 1);
        if (esp_crew_help(instance))
            atomic_fetch_add(&helped, 1);
    }
    free(batch);
    return NULL;
}

/* Two members run, the others help them and they each other; then all of them run. */
START_TEST(test_threads_that_help_change_no_bit)
{
    size_t runners = _i;
    pthread_t threads[MEMBERS];

    atomic_store(&over, false);
    for (size_t i = 0; i < MEMBERS; i++)
        ck_assert(
            !pthread_create(&threads[i], NULL, i < runners ? keep_running : keep_helping, esp_crew_instance(crew, i)));
    for (size_t i = 0; i < runners; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&over, true);
    for (size_t i = runners; i < MEMBERS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(atomic_load(&wrong), 0);
    ck_assert_uint_gt(atomic_load(&helped), 0);
}
END_TEST

/* ---- edges ---- */

START_TEST(test_a_crew_of_one_helps_nobody)
{
    esp_crew *one;
    struct esp_job job = {.cutout = samples[0].cutout, .input = samples[0].input};
    float scores[512];
    uint8_t ran[512];

    job.scores = scores;
    job.ran = ran;
    ck_assert_int_eq(esp_crew_create(&one, model, 1, 1, NULL), ESP_OK);
    esp_instance *instance = esp_crew_instance(one, 0);
    ck_assert(!esp_crew_help(instance));
    ck_assert_int_eq(esp_instance_run(instance, &job, 1, NULL), ESP_OK);
    ck_assert_mem_eq(&job.cost, &samples[0].alone.cost, sizeof job.cost);
    esp_crew_destroy(&one);
    ck_assert_ptr_null(one);
    esp_crew_destroy(&one);
}
END_TEST

START_TEST(test_crews_that_cannot_be)
{
    esp_crew *none;
    struct esp_error err = {0};

    ck_assert_int_eq(esp_crew_create(&none, model, 0, 1, &err), ESP_ERROR_ARGUMENT);
    ck_assert_int_eq(esp_crew_create(&none, model, 2, ESP_BATCH_MAX + 1, NULL), ESP_ERROR_ARGUMENT);
    ck_assert_int_eq(esp_crew_create(&none, model, SIZE_MAX / 4, 1, NULL), ESP_ERROR_MEMORY);
    ck_assert_ptr_null(none);
    for (uint64_t nth = 1;; nth++) {
        esp_fail_allocation(nth);
        if (esp_crew_create(&none, model, 2, 1, NULL) == ESP_OK)
            break;
        ck_assert_ptr_null(none);
    }
    esp_fail_allocation(0);
    esp_crew_destroy(&none);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("crew");
    TCase *tests = tcase_create("crew");

    tcase_set_timeout(tests, 300);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_helped_runs_have_the_same_bits);
    tcase_add_test(tests, test_helped_runs_allocate_nothing);
    tcase_add_loop_test(tests, test_threads_that_help_change_no_bit, 1, MEMBERS + 1);
    tcase_add_test(tests, test_a_crew_of_one_helps_nobody);
    tcase_add_test(tests, test_crews_that_cannot_be);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
