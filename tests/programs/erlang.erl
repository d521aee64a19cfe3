%% needs: escript
%% Erlang: a ring of ten thousand processes, sockets, tables, timers, ports. The load goes on until
%% the standard input has answered each of the marks.

-mode(compile).

say(Format, Words) -> io:format(Format ++ "~n", Words).

%% A message goes round as often as it says; the last process is the one who asked.
ring(Next) ->
    receive
        {_, stop} -> Next ! {self(), stop};
        {From, 0} -> From ! ring_done, ring(Next);
        {From, N} -> Next ! {From, N - 1}, ring(Next)
    end.

start_ring(Size) ->
    Last = spawn_link(fun() -> receive {first, Pid} -> ring(Pid) end end),
    First = lists:foldl(fun(_, Next) -> spawn_link(fun() -> ring(Next) end) end, Last,
                        lists:seq(2, Size)),
    Last ! {first, First},
    First.

%% Heaps that grow and shrink: the collector has to do.
churn(Parent, N, Kept) ->
    receive
        stop -> Parent ! {churned, N}
    after 0 ->
        List = lists:seq(N, N + 2000),
        Sum = lists:sum(List),
        Sum = (2 * N + 2000) * 2001 div 2,
        Binary = binary:copy(<<N:32>>, 3000),
        case Kept of
            {Old, OldN} -> Old = binary:copy(<<OldN:32>>, 3000);
            none -> ok
        end,
        churn(Parent, N + 1, {Binary, N})
    end.

accept(Listen) ->
    case gen_tcp:accept(Listen) of
        {ok, Socket} ->
            Pid = spawn(fun() -> receive go -> echo(Socket) end end),
            ok = gen_tcp:controlling_process(Socket, Pid),
            Pid ! go,
            accept(Listen);
        {error, closed} -> ok
    end.

echo(Socket) ->
    case gen_tcp:recv(Socket, 0) of
        {ok, Data} -> ok = gen_tcp:send(Socket, Data), echo(Socket);
        {error, closed} -> ok
    end.

client(Parent, Port, Seed) ->
    {ok, Socket} = gen_tcp:connect({127, 0, 0, 1}, Port, [binary, {active, false}]),
    client(Parent, Socket, Seed, 0).

client(Parent, Socket, Seed, N) ->
    Data = binary:copy(<<Seed:16, N:16>>, 500 + N rem 700),
    ok = gen_tcp:send(Socket, Data),
    {ok, Data} = gen_tcp:recv(Socket, byte_size(Data)),
    receive
        stop -> gen_tcp:close(Socket), Parent ! {talked, N}
    after 0 ->
        client(Parent, Socket, Seed, N + 1)
    end.

datagrams(Parent) ->
    {ok, A} = gen_udp:open(0, [binary, {active, true}, {ip, {127, 0, 0, 1}}]),
    {ok, B} = gen_udp:open(0, [binary, {active, true}, {ip, {127, 0, 0, 1}}]),
    {ok, Port} = inet:port(B),
    datagrams(Parent, A, B, Port, 0).

datagrams(Parent, A, B, Port, N) ->
    ok = gen_udp:send(A, {127, 0, 0, 1}, Port, <<N:32>>),
    receive {udp, B, _, _, <<N:32>>} -> ok end,
    receive
        stop -> Parent ! {datagrams, N}
    after 0 ->
        datagrams(Parent, A, B, Port, N + 1)
    end.

ticker(Parent, N) ->
    receive
        stop -> Parent ! {ticked, N}
    after 2 ->
        ticker(Parent, N + 1)
    end.

rounds(First, Left) ->
    First ! {self(), 30000},
    receive
        ring_done -> ok
    end,
    receive
        stop when Left =< 0 -> First ! {self(), stop}, done
    after 0 ->
        rounds(First, Left - 1)
    end.

main(_) ->
    Self = self(),
    process_flag(trap_exit, true),
    {ok, Listen} = gen_tcp:listen(0, [binary, {active, false}, {ip, {127, 0, 0, 1}}, {backlog, 50}]),
    {ok, Port} = inet:port(Listen),
    spawn(fun() -> accept(Listen) end),
    Table = ets:new(table, [public, ordered_set, {write_concurrency, true}]),
    Workers = [spawn_link(fun() -> churn(Self, 0, none) end) || _ <- lists:seq(1, 4)]
        ++ [spawn_link(fun() -> client(Self, Port, I) end) || I <- lists:seq(1, 10)]
        ++ [spawn_link(fun() -> datagrams(Self) end), spawn_link(fun() -> ticker(Self, 0) end)],
    Ring = spawn_link(fun() ->
        First = start_ring(10000),
        done = rounds(First, 3),
        Self ! ring_ended
    end),
    Writers = [spawn_link(fun() ->
        [ets:insert(Table, {{I, N}, N * N}) || N <- lists:seq(1, 2000)],
        Self ! written
    end) || I <- lists:seq(1, 5)],
    Cat = open_port({spawn, "cat"}, [binary, {line, 100}]),
    [begin
        say("@save@", []),
        io:get_line(""),
        true = port_command(Cat, <<"through cat\n">>),
        receive {Cat, {data, {eol, Line}}} -> say("~s", [Line]) end
     end || _ <- lists:seq(1, 3)],
    [W ! stop || W <- Workers],
    Done = [receive {What, N} when is_integer(N) -> {What, N} end || _ <- Workers],
    [begin
        L = [N || {W, N} <- Done, W =:= What],
        say("~s ~p ~p", [What, length(L), lists:sum(L) > 0])
     end || What <- [churned, talked, datagrams, ticked]],
    Ring ! stop,
    receive ring_ended -> say("ring done", []) end,
    [receive written -> ok end || _ <- Writers],
    say("table ~p ~p", [ets:info(Table, size), lists:sum([V || {_, V} <- ets:tab2list(Table)])]),
    port_close(Cat),
    gen_tcp:close(Listen),
    say("~s", [os:cmd("seq 3 | tr '\\n' ' '")]).
