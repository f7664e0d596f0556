#!/bin/sh
# The stages, all of them, where no systemd starts them one by one.

# shellcheck disable=SC2154
if [ "$root" = firstlight ] && ! ismounted "$NEWROOT"; then
    until /usr/bin/firstlight boot --root "$NEWROOT"; do
        /usr/bin/firstlight boot-ended --root "$NEWROOT" $?
        # What failed has been told; the shell is dracut's, and so is what follows where it allows none.
        emergency_shell -n firstlight "The boot has stopped. \`exit\` tries again."
    done
fi
