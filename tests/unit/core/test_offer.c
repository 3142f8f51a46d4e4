/* Offers: every branch is handed out exactly once, and only of the run that was meant. */
#include "core/offer.h"
#include "core/run.h"
#include "tests/support/support.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 9, TAKERS = 3, OFFERS = 20000, TAKEN_BY_OTHERS = 1000 };

static struct esp_run first_run, second_run;
static size_t branches[MOST];
static struct esp_offer offer = {.branches = branches};

static void fill(size_t base)
{
    for (size_t i = 0; i < MOST; i++)
        branches[i] = base + i;
}

START_TEST(test_branches_come_in_order_and_once)
{
    size_t node;

    ck_assert(!esp_offer_take(&offer, NULL, &node)); /* a new one is closed */
    for (size_t round = 0; round < 3; round++) {
        fill(100 * round);
        esp_offer_open(&offer, &first_run, MOST);
        for (size_t i = 0; i < MOST; i++) {
            ck_assert(esp_offer_take(&offer, NULL, &node));
            ck_assert_uint_eq(node, 100 * round + i);
        }
        ck_assert(!esp_offer_take(&offer, NULL, &node));
    }
}
END_TEST

START_TEST(test_only_branches_of_the_run_in_hand)
{
    size_t node;

    fill(0);
    esp_offer_open(&offer, &first_run, 2);
    ck_assert(!esp_offer_take(&offer, &second_run, &node));
    ck_assert(esp_offer_take(&offer, &first_run, &node));
    ck_assert(esp_offer_take(&offer, NULL, &node));
    esp_offer_open(&offer, &second_run, 1);
    ck_assert(!esp_offer_take(&offer, &first_run, &node));
    ck_assert(esp_offer_take(&offer, &second_run, &node));
}
END_TEST

START_TEST(test_the_owner_knows_when_others_are_done)
{
    size_t node;

    esp_offer_open(&offer, &first_run, 3);
    ck_assert(esp_offer_finished(&offer, 0));
    for (int i = 0; i < 3; i++)
        esp_offer_take(&offer, NULL, &node);
    esp_offer_finish(&offer);
    ck_assert(!esp_offer_finished(&offer, 2));
    esp_offer_finish(&offer);
    ck_assert(esp_offer_finished(&offer, 2));
    esp_offer_open(&offer, &first_run, 1); /* begins anew */
    ck_assert(esp_offer_finished(&offer, 0));
    ck_assert(esp_offer_take(&offer, NULL, &node));
}
END_TEST

/* ---- threads: the offer is opened over and over, while takers who have looked at an older one come late ---- */

static atomic_size_t counts[MOST];
static atomic_bool over;
static atomic_size_t strays;

static void *take(void *context)
{
    size_t node;

    (void)context;
    while (!atomic_load(&over)) {
        if (!esp_offer_take(&offer, NULL, &node)) {
            sched_yield();
            continue;
        }
        if (node >= MOST)
            atomic_fetch_add(&strays, 1);
        else
            atomic_fetch_add_explicit(&counts[node], 1, memory_order_relaxed);
        esp_offer_finish(&offer);
    }
    return NULL;
}

/* How many the others took. */
static size_t open_and_take(size_t count)
{
    size_t others = count, node;

    memset(branches, 0xff, sizeof branches); /* nobody may see these */
    for (size_t i = 0; i < count; i++)
        branches[i] = i;
    esp_offer_open(&offer, &first_run, count);
    sched_yield(); /* where there is but one CPU, the others come now */
    for (; esp_offer_take(&offer, NULL, &node); others--)
        atomic_fetch_add_explicit(&counts[node], 1, memory_order_relaxed);
    while (!esp_offer_finished(&offer, others))
        sched_yield();
    return others;
}

START_TEST(test_threads_take_each_branch_once)
{
    pthread_t threads[TAKERS];
    size_t expected[MOST] = {0}, taken_by_others = 0;

    atomic_store(&over, false);
    for (int i = 0; i < TAKERS; i++)
        pthread_create(&threads[i], NULL, take, NULL);
    for (size_t n = 0; n < OFFERS || taken_by_others < TAKEN_BY_OTHERS; n++) {
        size_t count = 1 + n % MOST;
        taken_by_others += open_and_take(count);
        for (size_t i = 0; i < count; i++)
            if (atomic_load(&counts[i]) != ++expected[i])
                ck_abort_msg("branch %zu of offer %zu was handed out twice, or not at all", i, n);
    }
    atomic_store(&over, true);
    for (int i = 0; i < TAKERS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(atomic_load(&strays), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("offer");
    TCase *tests = tcase_create("offer");

    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, test_branches_come_in_order_and_once);
    tcase_add_test(tests, test_only_branches_of_the_run_in_hand);
    tcase_add_test(tests, test_the_owner_knows_when_others_are_done);
    tcase_add_test(tests, test_threads_take_each_branch_once);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
