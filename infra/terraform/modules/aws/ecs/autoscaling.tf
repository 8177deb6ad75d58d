# Target tracking: servers by their CPU and by the requests that each of them answers, workers by their CPU. Out at once, in slowly,
# since a task that ends has streams to finish.

resource "aws_appautoscaling_target" "this" {
  for_each           = { server = var.server, worker = var.worker }
  service_namespace  = "ecs"
  resource_id        = "service/${aws_ecs_cluster.this.name}/${each.key}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = each.value.least
  max_capacity       = each.value.most
  depends_on         = [aws_ecs_service.server, aws_ecs_service.worker]
}

resource "aws_appautoscaling_policy" "cpu" {
  for_each           = aws_appautoscaling_target.this
  name               = "${var.name}-${each.key}-cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = each.value.service_namespace
  resource_id        = each.value.resource_id
  scalable_dimension = each.value.scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value       = 60
    scale_out_cooldown = 30
    scale_in_cooldown  = 300
    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}

resource "aws_appautoscaling_policy" "requests" {
  name               = "${var.name}-server-requests"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this["server"].service_namespace
  resource_id        = aws_appautoscaling_target.this["server"].resource_id
  scalable_dimension = aws_appautoscaling_target.this["server"].scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value       = var.requests_per_minute
    scale_out_cooldown = 30
    scale_in_cooldown  = 300
    predefined_metric_specification {
      predefined_metric_type = "ALBRequestCountPerTarget"
      resource_label         = var.load_balancer.request_label
    }
  }
}
