"""Causes of deployments of a service, and of changes of its number of tasks, that did not succeed. Does no I/O."""

from __future__ import annotations

from ecs_exec.errors.causes.cause import Cause

INTRO = (
    "Exit status 125: the step changed nothing, or could not follow the change. 1: the deployment failed. 2: ECS rolled"
    " it back. 3: somebody else deployed or scaled the service meanwhile. 124: it took longer than `wait-timeout`; ECS"
    " goes on with it."
)

CAUSES = (
    Cause(
        "service-not-described",
        "there is no service {service} in this cluster and region",
        "check its name, the cluster and the region: aws ecs list-services",
    ),
    Cause("service-not-active", "the service is {state}, not ACTIVE", "create the service again, or name another one"),
    Cause(
        "deployment-controller",
        "another program deploys this service: its deployment controller is {controller}, not ECS",
        "deploy it with that program: CODE_DEPLOY is AWS CodeDeploy, EXTERNAL is a deployment tool with task sets",
    ),
    Cause(
        "desired-count-zero",
        "the service's desired count is 0, so no task runs the new deployment",
        "set desired-count to 1 or more, or scale the service first",
    ),
    Cause(
        "container-not-in-definition",
        "task definition {definition} has no container {container}: it has {names}",
        "check container",
    ),
    Cause(
        "container-to-change-unclear",
        "task definition {definition} has several containers ({names}), and not exactly one of them is essential",
        "set container to the one that gets the image or tag",
    ),
    Cause(
        "deployment-not-begun",
        "ECS accepted the request, but shows no new deployment within a minute",
        "look at the service in AWS's console, then run the step again; with ecs:ListServiceDeployments and"
        " ecs:DescribeServiceDeployments the step also sees a deployment whose tasks have not started",
    ),
    Cause(
        "deployment-unknown",
        "the newest deployment {other} runs {runs}, which this step did not ask for: somebody else deployed at the same"
        " time",
        "look at the service in AWS's console, then run the step again",
    ),
    Cause(
        "deployment-unsuccessful",
        "deployment {id} failed: {why}",
        "read the failed tasks above, correct the cause and deploy again; tasks of the old revision may still run",
    ),
    Cause(
        "deployment-rolled-back",
        "ECS rolled deployment {id} back: {why}; the service runs {runs}",
        "read the failed tasks and events above, or the log of the lifecycle hook; correct the cause and deploy again",
    ),
    Cause(
        "rollback-failed",
        "ECS could not roll deployment {id} back: {why}",
        "look at the service's events in AWS's console: neither revision may run completely",
    ),
    Cause(
        "deployment-unanswered",
        "ECS has not answered within {seconds} s; {effect_on_service}",
        "look at the service in AWS's console, then run the step again",
    ),
    Cause(
        "deployment-replaced",
        "somebody else's deployment {other} replaced deployment {id}; it runs {runs}",
        "find out who deploys the service (CloudTrail: UpdateService), and deploy one after the other",
    ),
    Cause(
        "deployment-timeout",
        "deployment {id} is not complete after {seconds} s; ECS goes on with it",
        "look at the failed tasks, old tasks and stages above; a bake time, a long deregistration delay of the load"
        " balancer or a long stopTimeout needs a higher wait-timeout; a circuit breaker ends deployments whose tasks"
        " fail",
    ),
    Cause(
        "rollback-timeout",
        "ECS has not finished rolling deployment {id} back after {seconds} s; it goes on",
        "read the failed tasks above, and look at the service's events in AWS's console",
    ),
    Cause(
        "daemon-not-scalable",
        "the service has the scheduling strategy DAEMON: it runs one task on each container instance",
        "change the number of container instances instead",
    ),
    Cause(
        "daemon-without-instances",
        "the service has the scheduling strategy DAEMON, and no container instance of the cluster runs a task of it",
        "register a container instance that meets the service's placement constraints",
    ),
    Cause(
        "count-changed",
        "{who} changed the number of tasks to {other} after the step had set {count}",
        "look at the scaling policies and scheduled actions of the service, and in CloudTrail for UpdateService",
    ),
    Cause(
        "scale-timeout",
        "the service does not have {count} running tasks after {seconds} s; ECS goes on",
        "look at the failed tasks above and at the service's events: there may be no capacity, or tasks take long to"
        " stop",
    ),
    Cause(
        "service-deleted",
        "the service is {state}: somebody deleted it meanwhile",
        "find out who deleted it (CloudTrail: DeleteService)",
    ),
)
