# Sourced by .ci/run: finds a Docker engine for tests/compose, and has these tests fail where they would be skipped.
# It is the machine's, or one that a hook of the machine's starts. Hooks are in FER_CI_HOOKS, or in a folder `ci`
# beside the checkout:
#   docker-engine start   starts an engine and prints what a shell evaluates to use it
#   docker-engine stop    ends it; called at the end of the run
#   standin-images        if it is there: makes the base images where no registry can be reached
# Without any engine and any hook the tests are skipped, and the summary of make test names and counts them.
# shellcheck shell=bash
has_docker() { docker compose version && docker info; } >/dev/null 2>&1
for hook in ${FER_CI_HOOKS:-../*/ci}/docker-engine; do
  if has_docker || ! [ -x "$hook" ]; then continue; fi
  started=$hook
  trap '"$started" stop' EXIT
  settings=$("$hook" start)
  eval "$settings"
  has_docker || { echo "$hook has started no engine that answers" >&2; exit 1; }
  if [ -x "${hook%/*}/standin-images" ]; then "${hook%/*}/standin-images"; fi
done
if has_docker; then export FER_REQUIRE=${FER_REQUIRE:+$FER_REQUIRE,}docker; fi
