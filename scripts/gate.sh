#!/usr/bin/env bash
# End the action by the verdict: the last step, after everything that should be kept is uploaded.
#
# Reads: NPUGATE_EXIT_CODE, NPUGATE_VERDICT, NPUGATE_FAILED, NPUGATE_MODELS (outputs of the check)
set -euo pipefail

code=${NPUGATE_EXIT_CODE:-3}
case $code in
  0) echo "npugate: pass (${NPUGATE_MODELS-} models)" ;;
  1) echo "npugate: fail (${NPUGATE_FAILED-} of ${NPUGATE_MODELS-} models)" ;;
  2 | 3) echo "npugate: ${NPUGATE_VERDICT:-error}; there is no verdict on the models, see the check's log" ;;
  *)
    echo "npugate: no exit code came out of the check"
    code=3
    ;;
esac
exit "$code"
