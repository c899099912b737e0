# A reserved field that is not zero.
    mov r0, 0
    .slot 9500010000000000
