# Sourced by the scripts that run a container. Finds the engine and the image; what goes wrong is told
# by the caller's give_up.
#
# Reads: GITHUB_ACTION_PATH, INPUT_IMAGE, NPUGATE_RELEASED_IMAGE, NPUGATE_ACTION_REPOSITORY and _REF
# shellcheck shell=bash
action=${GITHUB_ACTION_PATH:?}

choose_engine() { # sets engine
  if docker version >/dev/null 2>&1; then
    engine=docker
  elif command -v podman >/dev/null; then
    engine=podman
  else
    give_up 'this runner has no container engine that answers (docker or podman)'
  fi
}

# The runner may name an action around this one instead, and names none to a step of a composite action
# by itself (actions/runner issue 2473). So it is believed where the path says the same: a runner unpacks
# what it downloads to _actions/OWNER/NAME/REVISION.
action_source() { # sets action_repository and action_ref, both empty where they are not known
  action_repository=${NPUGATE_ACTION_REPOSITORY:-${GITHUB_ACTION_REPOSITORY-}}
  action_ref=${NPUGATE_ACTION_REF:-${GITHUB_ACTION_REF-}}
  [[ ${action%/} = */_actions/"$action_repository/$action_ref" ]] || action_repository='' action_ref=''
}

digest() { # of everything that the build reads
  cd "$action" || return 1
  find .dockerignore Dockerfile LICENSE README.md pyproject.toml setup.py entrypoint.py \
    checks fixers npugate requirements third_party tools/image tools/install_locks.sh \
    -type f ! -name '*.pyc' -print0 |
    LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c1-16
}

build_image() { # NAME [OPTION...]: sets image, which is built from the action where it is not there yet
  local name=$1 tag
  shift
  tag=$(digest) || give_up 'the files of the action cannot be read'
  image=$name:$tag
  "$engine" image inspect "$image" >/dev/null 2>&1 && return
  echo '::group::Build the image'
  "$engine" build "$@" --tag "$image" "$action" || give_up 'the image could not be built'
  echo '::endgroup::'
}

# A release names the image that was built and tested for it; without one it is built from the action.
choose_image() { # sets image
  image=${INPUT_IMAGE:-${NPUGATE_RELEASED_IMAGE-}}
  [[ $image != -* ]] || give_up 'the input image is an option, not an image'
  [[ -n $image ]] || build_image npugate-action
}
