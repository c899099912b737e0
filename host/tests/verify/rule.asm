# A rule by hand that reads a field it did not ask for.
#! rule process.exec
#! field process.pid
    mov r0, 0
    ldxdw r4, [r1+144]
    exit
