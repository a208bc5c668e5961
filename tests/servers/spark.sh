#!/bin/bash
# Real Spark standalone cluster (PyPI pyspark carries the jars; needs Java 17): one master, two workers, Spark Connect,
# all on 127.0.0.1. usage: spark.sh start|stop. Prints its sc:// address.
. "$(dirname "$0")/common.sh"
D=$STATE/spark
mkdir -p "$D"
if [ "${1:-start}" = stop ]; then tac "$D/pids" | xargs -r kill 2>/dev/null || true; rm -f "$D/pids"; exit; fi
one_at_a_time spark
command -v java >/dev/null || { echo "Java is not installed: apt-get install --no-install-recommends openjdk-17-jre-headless" >&2; exit 1; }
SPARK_HOME=$("$PY" -c 'import importlib.util as u, pathlib; print(pathlib.Path(u.find_spec("pyspark").origin).parent)')
export SPARK_HOME PYSPARK_PYTHON=$PY SPARK_LOCAL_IP=127.0.0.1 SPARK_MASTER_HOST=127.0.0.1 SPARK_LOCAL_DIRS=$D/local
export SPARK_WORKER_DIR=$D/work SPARK_NO_DAEMONIZE=1
if ! { [ -f "$D/pids" ] && kill -0 "$(tail -1 "$D/pids")" 2>/dev/null && listening "$(cat "$D/port")"; }; then
  [ -f "$D/pids" ] && { xargs -r kill <"$D/pids" 2>/dev/null || true; sleep 1; } # leftovers of a failed start
  MASTER=$(free_port); PORT=$(free_port); echo "$PORT" >"$D/port"; : >"$D/pids"
  daemon() { # name, class, arguments
    local name=$1; shift
    SPARK_DAEMON_MEMORY=256m nohup "$SPARK_HOME/bin/spark-class" "$@" >"$D/$name.log" 2>&1 9>&- &
    echo $! >>"$D/pids"
  }
  daemon master org.apache.spark.deploy.master.Master --host 127.0.0.1 --port "$MASTER" --webui-port 0
  for _ in $(seq 300); do listening "$MASTER" && break; sleep 0.2; done
  for w in 1 2; do
    daemon "worker$w" org.apache.spark.deploy.worker.Worker --host 127.0.0.1 --cores 1 --memory 1g --webui-port 0 "spark://127.0.0.1:$MASTER"
  done
  # Below 450 MB the Connect server dies: this setting also becomes its driver memory.
  SPARK_DAEMON_MEMORY=768m nohup "$SPARK_HOME/bin/spark-submit" --class org.apache.spark.sql.connect.service.SparkConnectServer \
    --master "spark://127.0.0.1:$MASTER" --conf spark.driver.host=127.0.0.1 --conf spark.driver.bindAddress=127.0.0.1 \
    --conf spark.connect.grpc.binding.address=127.0.0.1 --conf spark.connect.grpc.binding.port="$PORT" \
    --conf spark.ui.enabled=false --conf spark.executor.memory=512m --conf spark.executor.cores=1 \
    --conf spark.sql.shuffle.partitions=4 --conf spark.sql.session.timeZone=UTC --conf spark.sql.warehouse.dir="$D/wh" \
    --conf spark.driver.memory=768m spark-internal >"$D/connect.log" 2>&1 9>&- &
  echo $! >>"$D/pids"
fi
for _ in $(seq 600); do listening "$(cat "$D/port")" && break; sleep 0.2; done
listening "$(cat "$D/port")" || { tail -3 "$D/connect.log" >&2; exit 1; }
echo "sc://127.0.0.1:$(cat "$D/port")"
