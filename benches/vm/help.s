# Ten calls of a helper that returns its first argument.
    mov r1, 1
    call 5
    mov r1, r0
    call 5
    mov r1, r0
    call 5
    mov r1, r0
    call 5
    mov r1, r0
    call 5
    mov r1, r0
    call 5
    mov r1, r0
    call 5
    mov r1, r0
    call 5
    mov r1, r0
    call 5
    mov r1, r0
    call 5
    exit
